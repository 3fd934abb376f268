//! Names that others give the tensors of a backbone.

use crate::model::backbone::Arch;

/// Whose names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Layout {
    /// torchvision's, for ResNets and MobileNetV2.
    Torchvision,
    /// timm's, for vision transformers.
    Timm,
    /// detectron2's, for ResNets.
    Detectron2,
}

impl Layout {
    /// The one that a backbone has of its own.
    pub fn own(arch: Arch) -> Layout {
        match arch {
            Arch::VitTiny | Arch::VitSmall | Arch::VitBase => Layout::Timm,
            _ => Layout::Torchvision,
        }
    }

    /// Whether it has names for this backbone.
    pub fn knows(self, arch: Arch) -> bool {
        let is_resnet = matches!(arch, Arch::Resnet18 | Arch::Resnet34 | Arch::Resnet50);
        self == Layout::own(arch) || (self == Layout::Detectron2 && is_resnet)
    }

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Layout::Torchvision => "torchvision",
            Layout::Timm => "timm",
            Layout::Detectron2 => "detectron2",
        }
    }

    /// What it calls a tensor that we call `backbone.<name>`.
    pub(super) fn rename(self, name: &str) -> String {
        match self {
            Layout::Torchvision | Layout::Timm => name.to_owned(),
            Layout::Detectron2 => detectron2(name),
        }
    }
}

/// `layer1.0.bn2.bias` is `res2.0.conv2.norm.bias`, and what is in no layer is the stem.
fn detectron2(name: &str) -> String {
    let name = match name.split_once('.') {
        Some((layer, rest)) if layer.starts_with("layer") => {
            let stage: u32 = layer["layer".len()..].parse().unwrap_or(0);
            format!("res{}.{rest}", stage + 1)
        }
        _ => format!("stem.{name}"),
    };
    let name = name
        .replace("downsample.0", "shortcut")
        .replace("downsample.1", "shortcut.norm");
    let words = name.split('.').map(|word| match word.strip_prefix("bn") {
        Some(number) => format!("conv{number}.norm"),
        None => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detectron2_counts_stages_and_hangs_normalisations_on_convolutions() {
        for (ours, theirs) in [
            ("conv1.weight", "stem.conv1.weight"),
            ("bn1.running_mean", "stem.conv1.norm.running_mean"),
            ("layer1.0.conv1.weight", "res2.0.conv1.weight"),
            ("layer4.1.bn2.bias", "res5.1.conv2.norm.bias"),
            ("layer2.0.downsample.0.weight", "res3.0.shortcut.weight"),
            (
                "layer2.0.downsample.1.weight",
                "res3.0.shortcut.norm.weight",
            ),
        ] {
            assert_eq!(Layout::Detectron2.rename(ours), theirs);
        }
    }
}
