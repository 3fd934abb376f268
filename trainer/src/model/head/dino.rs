//! The DINO projection head (Caron et al. 2021, section 3 and appendix C; SSLight section 4).

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::model::init;
use crate::model::layers::{Linear, normalize};
use crate::model::mlp::{Activation, Mlp, MlpConfig};
use crate::model::parameters::Scope;

/// `DINOHead.*`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeadConfig {
    /// The perceptron; what comes out of it is the bottleneck.
    pub mlp: MlpConfig,
    /// Number of prototypes K.
    pub out_dim: i64,
    /// Keeps the length of the last layer's rows at 1 (`NORM_LAST_YEAR`, the reference's spelling).
    pub fix_last_norm: bool,
}

/// A perceptron with GELU, L2 normalisation, and a weight-normalised last layer without bias.
#[derive(Debug)]
pub struct DinoHead {
    mlp: Mlp,
    last_g: Tensor,
    last_v: Tensor,
}

impl DinoHead {
    /// Registers `mlp.*` and `last_layer.weight_{g,v}` for features of `inputs` values.
    pub fn new(inputs: i64, config: &HeadConfig, scope: &mut Scope) -> DinoHead {
        let linear = Linear::with_truncated_normal;
        let mut place = scope.child("mlp");
        let mlp = Mlp::new(inputs, &config.mlp, Activation::Gelu, linear, &mut place);
        let (last_g, last_v) = last_layer(config, &mut scope.child("last_layer"));
        DinoHead {
            mlp,
            last_g,
            last_v,
        }
    }

    /// Features `[n, d]` to logits `[n, out_dim]`.
    pub fn forward(&self, features_nd: &Tensor, train: bool) -> Tensor {
        let x = normalize(&self.mlp.forward(features_nd, train));
        let weight_kd = Tensor::internal_weight_norm(&self.last_v, &self.last_g, 0);
        x.linear(&weight_kd, None::<&Tensor>)
    }
}

/// `weight_g` (1) and `weight_v` (PyTorch's default for a linear layer), in this order.
fn last_layer(config: &HeadConfig, scope: &mut Scope) -> (Tensor, Tensor) {
    let device = scope.device();
    let (outputs, inputs) = (config.out_dim, config.mlp.out_dim);
    let ones = Tensor::ones([outputs, 1], (Kind::Float, device));
    let g = if config.fix_last_norm {
        scope.fixed("weight_g", ones)
    } else {
        scope.trainable("weight_g", ones)
    };
    let v = init::uniform_fan_in(&[outputs, inputs], inputs, device);
    (g, scope.trainable("weight_v", v))
}
