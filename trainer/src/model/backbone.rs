//! The choice of backbone: convolutions, then the global average; or a vision transformer's class token.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::mobilenet_v2::{self, MobileNetV2};
use super::parameters::Scope;
use super::resnet::{BlockKind, ResNet};
use super::vit::{VisionTransformer, VitShape};

/// `MODEL.BACKBONE_ARCH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Arch {
    /// MobileNetV2 1.0.
    MobilenetV2,
    /// ResNet of 18 layers.
    Resnet18,
    /// ResNet of 34 layers.
    Resnet34,
    /// ResNet of 50 layers.
    Resnet50,
    /// Vision transformer 192 wide, 3 heads.
    VitTiny,
    /// Vision transformer 384 wide, 6 heads.
    VitSmall,
    /// Vision transformer 768 wide, 12 heads.
    VitBase,
}

/// `MODEL.BACKBONE_ARCH` and `VIT.*`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackboneConfig {
    /// The architecture.
    pub arch: Arch,
    /// Side of a transformer's patch, in pixels.
    pub patch_size: i64,
    /// Probability with which a transformer's last block is dropped in training ([`VitShape::drop_path`]).
    pub drop_path: f64,
}

/// A backbone of any kind.
#[derive(Debug)]
pub enum Backbone {
    /// MobileNetV2.
    MobileNetV2(MobileNetV2),
    /// ResNet.
    ResNet(ResNet),
    /// Vision transformer.
    Vit(VisionTransformer),
}

impl Arch {
    /// All that are built in.
    pub const ALL: [Arch; 7] = [
        Arch::MobilenetV2,
        Arch::Resnet18,
        Arch::Resnet34,
        Arch::Resnet50,
        Arch::VitTiny,
        Arch::VitSmall,
        Arch::VitBase,
    ];

    /// The architecture of this name, if it is built in.
    pub fn named(name: &str) -> Option<Arch> {
        Arch::ALL.into_iter().find(|arch| arch.name() == name)
    }

    /// As `MODEL.BACKBONE_ARCH` has it.
    pub fn name(self) -> &'static str {
        match self {
            Arch::MobilenetV2 => "mobilenet_v2",
            Arch::Resnet18 => "resnet18",
            Arch::Resnet34 => "resnet34",
            Arch::Resnet50 => "resnet50",
            Arch::VitTiny => "vit_tiny",
            Arch::VitSmall => "vit_small",
            Arch::VitBase => "vit_base",
        }
    }
}

impl BackboneConfig {
    /// The same without anything random in training, as a teacher is.
    #[must_use]
    pub fn without_drop_path(&self) -> BackboneConfig {
        let drop_path = 0.0;
        BackboneConfig {
            drop_path,
            ..self.clone()
        }
    }

    /// Whether it is a vision transformer.
    pub fn is_transformer(&self) -> bool {
        matches!(self.arch, Arch::VitTiny | Arch::VitSmall | Arch::VitBase)
    }

    fn vit(&self, width: i64, heads: i64) -> VitShape {
        VitShape {
            width,
            depth: 12,
            heads,
            patch: self.patch_size,
            drop_path: self.drop_path,
        }
    }
}

impl Backbone {
    /// Registers all layers at `scope`.
    pub fn new(config: &BackboneConfig, scope: &mut Scope) -> Backbone {
        use BlockKind::{Basic, Bottleneck};
        let resnet =
            |kind, depths, scope: &mut _| Backbone::ResNet(ResNet::new(kind, depths, scope));
        let vit = |width, heads, scope: &mut _| {
            Backbone::Vit(VisionTransformer::new(config.vit(width, heads), scope))
        };
        match config.arch {
            Arch::MobilenetV2 => Backbone::MobileNetV2(MobileNetV2::new(scope)),
            Arch::Resnet18 => resnet(Basic, [2, 2, 2, 2], scope),
            Arch::Resnet34 => resnet(Basic, [3, 4, 6, 3], scope),
            Arch::Resnet50 => resnet(Bottleneck, [3, 4, 6, 3], scope),
            Arch::VitTiny => vit(192, 3, scope),
            Arch::VitSmall => vit(384, 6, scope),
            Arch::VitBase => vit(768, 12, scope),
        }
    }

    /// Number of features per image.
    pub fn width(&self) -> i64 {
        match self {
            Backbone::MobileNetV2(_) => mobilenet_v2::WIDTH,
            Backbone::ResNet(net) => net.width(),
            Backbone::Vit(net) => net.width(),
        }
    }

    /// How much the class token of a transformer looks at each patch in the last block: `[n, heads, rows, columns]`.
    pub fn class_attention(&self, images_nchw: &Tensor) -> Option<Tensor> {
        match self {
            Backbone::Vit(net) => Some(net.class_attention(images_nchw)),
            Backbone::MobileNetV2(_) | Backbone::ResNet(_) => None,
        }
    }

    /// Features `[n, width]` of images `[n, 3, h, w]`.
    pub fn forward(&self, images_nchw: &Tensor, train: bool) -> Tensor {
        let maps = match self {
            Backbone::MobileNetV2(net) => net.forward(images_nchw, train),
            Backbone::ResNet(net) => net.forward(images_nchw, train),
            Backbone::Vit(net) => return net.forward(images_nchw, train),
        };
        maps.adaptive_avg_pool2d([1, 1]).flatten(1, -1)
    }

    /// What a linear classifier is given, in evaluation mode: a transformer's class tokens after each of its `last` blocks
    /// `[n, last * width]`, else the features.
    pub fn last_blocks(&self, images_nchw: &Tensor, last: i64) -> Tensor {
        match self {
            Backbone::Vit(net) => net.class_tokens(images_nchw, last),
            _ => self.forward(images_nchw, false),
        }
    }
}
