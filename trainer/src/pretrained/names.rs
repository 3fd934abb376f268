//! What a tensor's name means in each of the layouts that are known here, told from the name alone.
//!
//! - ours: `student.backbone.layer1.0.conv1.weight`, `student.head.mlp.0.weight`
//! - the reference's, whose convolutional backbones are numbered: `module.student.backbone.encoder.4.0.conv1.weight`, with `network` for
//!   SwAV and `encoder_q`, `encoder_k` for MoCo
//! - DINO's: `student.module.backbone.blocks.0.norm1.weight`
//! - SwAV's: `module.layer1.0.conv1.weight`, `module.projection_head.0.weight`, `module.prototypes.weight`
//! - MoCo's: `module.encoder_q.layer1.0.conv1.weight`, `module.encoder_q.fc.0.weight`
//! - torchvision's and timm's own, with or without `backbone.` before them

/// Which of two networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Which {
    /// The one that learns: the student, SwAV's network, MoCo's query encoder.
    Student,
    /// Its average: the teacher, MoCo's key encoder.
    Teacher,
}

/// The network that a tensor belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Network {
    Student,
    Teacher,
    /// The file holds one, and the name does not say which.
    Only,
}

/// What a tensor is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Of this network, called `backbone.*` or `head.*` here.
    Of(Network, String),
    /// Not needed: what of, and why.
    Left(String, &'static str),
}

/// Words around a network that say nothing: wrappers of PyTorch's, and the dictionaries that it is saved in.
const WRAPPERS: [&str; 4] = ["module", "_orig_mod", "state_dict", "model"];
/// Where torchvision's and timm's backbones begin.
const BACKBONE: [&str; 12] = [
    "conv1",
    "bn1",
    "layer1",
    "layer2",
    "layer3",
    "layer4",
    "features",
    "cls_token",
    "pos_embed",
    "patch_embed",
    "blocks",
    "norm",
];
/// The reference's backbones of convolutions are sequences; these are ResNet's parts by their place in it.
const RESNET_PARTS: [(&str, &str); 6] = [
    ("0", "conv1"),
    ("1", "bn1"),
    ("4", "layer1"),
    ("5", "layer2"),
    ("6", "layer3"),
    ("7", "layer4"),
];

impl From<Which> for Network {
    fn from(which: Which) -> Network {
        match which {
            Which::Student => Network::Student,
            Which::Teacher => Network::Teacher,
        }
    }
}

impl Which {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Which::Student => "student",
            Which::Teacher => "teacher",
        }
    }
}

impl Network {
    /// What is said of it where another was asked for.
    pub(super) fn left_behind(self) -> (String, String) {
        let name = match self {
            Network::Student => "student.*",
            Network::Teacher => "teacher.*",
            Network::Only => "*",
        };
        let why = "another network than the one asked for";
        (name.to_owned(), why.to_owned())
    }
}

/// What the tensor of this name is.
pub(super) fn place(name: &str) -> Place {
    let mut words: Vec<&str> = name.split('.').collect();
    let is_wrapper = |word: &&str| !WRAPPERS.contains(word);
    words = words.into_iter().filter(is_wrapper).collect();
    if words.last() == Some(&"num_batches_tracked") {
        let what = "*.num_batches_tracked".to_owned();
        return Place::Left(what, "nothing here reads these counters");
    }
    let (network, words) = match words.split_first() {
        Some((&("student" | "network" | "encoder_q"), rest)) => (Network::Student, rest),
        Some((&("teacher" | "encoder_k"), rest)) => (Network::Teacher, rest),
        _ => (Network::Only, &words[..]),
    };
    match inside(network, words) {
        Some(words) => Place::Of(network, words.join(".")),
        None => left(words),
    }
}

/// The name within a network.
fn inside<'a>(network: Network, words: &[&'a str]) -> Option<Vec<&'a str>> {
    let (first, rest) = words.split_first()?;
    let put = |before: &[&'a str], words: &[&'a str]| Some([before, words].concat());
    match *first {
        "backbone" => put(&["backbone"], &of_backbone(rest)),
        "head" => of_head(rest),
        "projection_head" => put(&["head", "projection"], rest),
        "prototypes" => put(&["head", "prototypes"], rest),
        "fc" if network != Network::Only => put(&["head", "mlp"], rest),
        first if BACKBONE.contains(&first) => put(&["backbone"], words),
        _ => None,
    }
}

/// The reference numbers the parts of a ResNet and of a MobileNetV2 (whose every part has parts).
fn of_backbone<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let words = words.strip_prefix(&["encoder"]).unwrap_or(words);
    let Some((first, rest)) = words.split_first() else {
        return Vec::new();
    };
    if first.parse::<u32>().is_err() {
        return words.to_vec();
    }
    let part = RESNET_PARTS.iter().find(|(number, _)| number == first);
    let is_layer = matches!(first.parse(), Ok(4..=7)) && is_of_a_block(rest);
    match part {
        Some((_, part)) if rest.len() == 1 || is_layer => [&[*part], rest].concat(),
        _ => [&["features"], words].concat(),
    }
}

/// Whether these are words of a ResNet's layer: `0.conv1.weight`, `0.downsample.0.weight`; a MobileNetV2's block has `conv.0.0.weight`.
fn is_of_a_block(words: &[&str]) -> bool {
    words
        .first()
        .is_some_and(|word| word.parse::<u32>().is_ok())
        && words
            .get(1)
            .is_some_and(|word| word.parse::<u32>().is_err())
}

/// Ours, and the reference's projection, which has a perceptron of its own inside. `head.weight` is a classifier, not a head.
fn of_head<'a>(words: &[&'a str]) -> Option<Vec<&'a str>> {
    let (first, rest) = words.split_first()?;
    let rest: Vec<&str> = match (*first, rest) {
        ("projection", ["mlp", rest @ ..]) => rest.to_vec(),
        ("last_layer", ["parametrizations", "weight", "original0"]) => vec!["weight_g"],
        ("last_layer", ["parametrizations", "weight", "original1"]) => vec!["weight_v"],
        ("mlp" | "projection" | "prototypes" | "last_layer", rest) => rest.to_vec(),
        _ => return None,
    };
    Some([&["head", *first], &rest[..]].concat())
}

/// Why a tensor is of no network.
fn left(words: &[&str]) -> Place {
    let first = words.first().copied().unwrap_or_default();
    let why = match first {
        "optimizer" => "what an optimiser keeps",
        "probe" | "classifier" | "fc" | "head" => "a classifier",
        "center" | "loss" | "dino_loss" => "the centre of DINO's loss",
        "queue" | "queue_ptr" => "a queue of earlier images",
        "fp16_scaler" | "amp" => "the scaler of mixed precision",
        _ => return Place::Left(words.join("."), "the name is not known here"),
    };
    let what = match words.len() {
        1 => first.to_owned(),
        _ => format!("{first}.*"),
    };
    Place::Left(what, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(network: Network, name: &str) -> Place {
        Place::Of(network, name.to_owned())
    }

    #[test]
    fn every_layout_leads_to_the_same_names() {
        let (conv, head) = ("backbone.layer1.0.conv1.weight", "head.mlp.0.weight");
        let table = [
            (
                "student.backbone.layer1.0.conv1.weight",
                Network::Student,
                conv,
            ),
            (
                "module.student.backbone.encoder.4.0.conv1.weight",
                Network::Student,
                conv,
            ),
            (
                "state_dict.module.teacher.backbone.encoder.4.0.conv1.weight",
                Network::Teacher,
                conv,
            ),
            (
                "module.network.backbone.encoder.4.0.conv1.weight",
                Network::Student,
                conv,
            ),
            (
                "student.module.backbone.layer1.0.conv1.weight",
                Network::Student,
                conv,
            ),
            (
                "state_dict.module.encoder_q.layer1.0.conv1.weight",
                Network::Student,
                conv,
            ),
            (
                "state_dict.module.encoder_k.layer1.0.conv1.weight",
                Network::Teacher,
                conv,
            ),
            ("module.layer1.0.conv1.weight", Network::Only, conv),
            ("layer1.0.conv1.weight", Network::Only, conv),
            ("backbone.layer1.0.conv1.weight", Network::Only, conv),
            ("module.student.head.mlp.0.weight", Network::Student, head),
            ("module.encoder_q.fc.0.weight", Network::Student, head),
            ("module.encoder_q.head.mlp.0.weight", Network::Student, head),
        ];
        for (theirs, network, ours) in table {
            assert_eq!(place(theirs), of(network, ours), "{theirs}");
        }
    }

    #[test]
    fn numbered_parts_are_those_of_a_resnet_or_of_a_mobilenet() {
        let table = [
            ("0.weight", "conv1.weight"),
            ("1.running_mean", "bn1.running_mean"),
            ("7.1.bn2.bias", "layer4.1.bn2.bias"),
            ("5.0.downsample.0.weight", "layer2.0.downsample.0.weight"),
            ("0.0.weight", "features.0.0.weight"),
            ("1.conv.1.weight", "features.1.conv.1.weight"),
            ("4.conv.0.1.running_var", "features.4.conv.0.1.running_var"),
            ("18.1.bias", "features.18.1.bias"),
        ];
        for (theirs, ours) in table {
            let found = place(&format!("module.network.backbone.encoder.{theirs}"));
            assert_eq!(found, of(Network::Student, &format!("backbone.{ours}")));
        }
    }

    #[test]
    fn heads_are_called_as_ours_and_classifiers_are_left() {
        let table = [
            (
                "network.head.projection.mlp.3.bias",
                "head.projection.3.bias",
            ),
            ("network.head.prototypes.weight", "head.prototypes.weight"),
            (
                "student.head.last_layer.weight_g",
                "head.last_layer.weight_g",
            ),
            (
                "student.head.last_layer.parametrizations.weight.original1",
                "head.last_layer.weight_v",
            ),
        ];
        for (theirs, ours) in table {
            assert_eq!(place(theirs), of(Network::Student, ours));
        }
        let swav = place("module.projection_head.3.weight");
        assert_eq!(swav, of(Network::Only, "head.projection.3.weight"));
        for classifier in [
            "fc.weight",
            "head.weight",
            "classifier.1.bias",
            "probe.classifier.bias",
        ] {
            assert!(
                matches!(place(classifier), Place::Left(_, "a classifier")),
                "{classifier}"
            );
        }
        assert_eq!(
            place("student.something.weight"),
            Place::Left("something.weight".to_owned(), "the name is not known here")
        );
    }
}
