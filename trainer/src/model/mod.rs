//! Networks: backbones named and shaped as in torchvision (convolutional) and timm (transformers), and the DINO head.
//!
//! A network owns its tensors through [`Parameters`], in the order in which PyTorch's `named_parameters` lists them.
//! Nothing here knows a loss, an optimiser or where images come from. Runs on the training thread.

pub mod backbone;
pub mod head;
pub mod init;
pub mod layers;
pub mod mlp;
pub mod mobilenet_v2;
pub mod parameters;
pub mod precision;
pub mod resnet;
pub mod vit;

use tch::Tensor;

use backbone::{Backbone, BackboneConfig};
use parameters::{Parameters, Scope};
use precision::Precision;

use crate::machine::Machine;

/// A backbone and its projection head (student or teacher).
#[derive(Debug)]
pub struct Network<H> {
    /// Every parameter and buffer by name: `backbone.*`, then `head.*`.
    pub parameters: Parameters,
    /// Images to features.
    pub backbone: Backbone,
    /// Features to what the loss compares.
    pub head: H,
    precision: Precision,
}

impl<H> Network<H> {
    /// A freshly initialised network; the global random state decides the weights. `head` makes the head for features of
    /// so many values.
    pub fn new(
        backbone: &BackboneConfig,
        machine: &Machine,
        head: impl FnOnce(i64, &mut Scope) -> H,
    ) -> Network<H> {
        let mut parameters = Parameters::new();
        let mut root = parameters.scope(machine);
        let backbone = Backbone::new(backbone, &mut root.child("backbone"));
        let head = head(backbone.width(), &mut root.child("head"));
        Network {
            parameters,
            backbone,
            head,
            precision: machine.precision,
        }
    }

    /// Number of features per image.
    pub fn width(&self) -> i64 {
        self.backbone.width()
    }

    /// Features `[n, width]` of view groups, n being the sum over groups, in the machine's precision. Views of one size go through the
    /// backbone as one batch.
    pub fn features(&self, groups_nchw: &[Tensor], train: bool) -> Tensor {
        let groups = groups_nchw.iter();
        let features: Vec<Tensor> = groups
            .map(|group| self.backbone.forward(&self.precision.of(group), train))
            .collect();
        Tensor::cat(&features, 0)
    }
}
