//! Networks: backbones named and shaped as in torchvision (convolutional) and timm (transformers), and the DINO head.
//!
//! A network owns its tensors through [`Parameters`], in the order in which PyTorch's `named_parameters` lists them.
//! Nothing here knows a loss, an optimiser or where images come from. Runs on the training thread.

pub mod backbone;
pub mod head;
pub mod init;
pub mod layers;
pub mod mobilenet_v2;
pub mod parameters;
pub mod resnet;
pub mod vit;

use tch::{Device, Tensor};

use backbone::{Backbone, BackboneConfig};
use head::{DinoHead, HeadConfig};
use parameters::Parameters;

/// A backbone and its projection head (student or teacher).
#[derive(Debug)]
pub struct Network {
    /// Every parameter and buffer by name: `backbone.*`, then `head.*`.
    pub parameters: Parameters,
    backbone: Backbone,
    head: DinoHead,
}

impl Network {
    /// A freshly initialised network on `device`; the global random state decides the weights.
    pub fn new(backbone: &BackboneConfig, head: &HeadConfig, device: Device) -> Network {
        let mut parameters = Parameters::new();
        let mut root = parameters.scope(device);
        let backbone = Backbone::new(backbone, &mut root.child("backbone"));
        let head = DinoHead::new(backbone.width(), head, &mut root.child("head"));
        Network {
            parameters,
            backbone,
            head,
        }
    }

    /// Number of features per image.
    pub fn width(&self) -> i64 {
        self.backbone.width()
    }

    /// Features `[n, width]` of images `[n, 3, h, w]`.
    pub fn features(&self, images_nchw: &Tensor, train: bool) -> Tensor {
        self.backbone.forward(images_nchw, train)
    }

    /// Features and head outputs of view groups. Views of one size go through the backbone as one batch, the head sees
    /// all of them at once.
    ///
    /// Returns features `[n, width]` and logits `[n, out_dim]`, n being the sum over groups.
    pub fn forward(&self, groups_nchw: &[Tensor], train: bool) -> (Tensor, Tensor) {
        let features: Vec<Tensor> = groups_nchw
            .iter()
            .map(|group| self.features(group, train))
            .collect();
        let features_nd = Tensor::cat(&features, 0);
        let logits_nk = self.head.forward(&features_nd, train);
        (features_nd, logits_nk)
    }
}
