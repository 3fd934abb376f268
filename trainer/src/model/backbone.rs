//! The choice of backbone: convolutions, then the global average.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::mobilenet_v2::{self, MobileNetV2};
use super::parameters::Scope;
use super::resnet::{BlockKind, ResNet};

/// `MODEL.BACKBONE_ARCH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arch {
    /// MobileNetV2 1.0.
    MobilenetV2,
    /// ResNet of 18 layers.
    Resnet18,
    /// ResNet of 34 layers.
    Resnet34,
    /// ResNet of 50 layers.
    Resnet50,
}

/// A backbone of any kind.
#[derive(Debug)]
pub enum Backbone {
    /// MobileNetV2.
    MobileNetV2(MobileNetV2),
    /// ResNet.
    ResNet(ResNet),
}

impl Arch {
    /// The architecture of this name, if it is built in.
    pub fn named(name: &str) -> Option<Arch> {
        match name {
            "mobilenet_v2" => Some(Arch::MobilenetV2),
            "resnet18" => Some(Arch::Resnet18),
            "resnet34" => Some(Arch::Resnet34),
            "resnet50" => Some(Arch::Resnet50),
            _ => None,
        }
    }
}

impl Backbone {
    /// Registers all layers at `scope`.
    pub fn new(arch: Arch, scope: &mut Scope) -> Backbone {
        let (kind, depths) = match arch {
            Arch::MobilenetV2 => return Backbone::MobileNetV2(MobileNetV2::new(scope)),
            Arch::Resnet18 => (BlockKind::Basic, [2, 2, 2, 2]),
            Arch::Resnet34 => (BlockKind::Basic, [3, 4, 6, 3]),
            Arch::Resnet50 => (BlockKind::Bottleneck, [3, 4, 6, 3]),
        };
        Backbone::ResNet(ResNet::new(kind, depths, scope))
    }

    /// Number of features per image.
    pub fn width(&self) -> i64 {
        match self {
            Backbone::MobileNetV2(_) => mobilenet_v2::WIDTH,
            Backbone::ResNet(net) => net.width(),
        }
    }

    /// Features `[n, width]` of images `[n, 3, h, w]`.
    pub fn forward(&self, images_nchw: &Tensor, train: bool) -> Tensor {
        let maps = match self {
            Backbone::MobileNetV2(net) => net.forward(images_nchw, train),
            Backbone::ResNet(net) => net.forward(images_nchw, train),
        };
        maps.adaptive_avg_pool2d([1, 1]).flatten(1, -1)
    }
}
