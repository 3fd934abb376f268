//! MoCo-v2's projection head (Chen et al. 2020).

use tch::Tensor;

use crate::model::layers::{Linear, normalize};
use crate::model::mlp::{Activation, Mlp, MlpConfig};
use crate::model::parameters::Scope;

/// A perceptron with ReLU and L2 normalisation.
#[derive(Debug)]
pub struct MocoHead {
    mlp: Mlp,
}

impl MocoHead {
    /// Registers `mlp.*` for features of `inputs` values.
    pub fn new(inputs: i64, config: &MlpConfig, scope: &mut Scope) -> MocoHead {
        let linear = Linear::with_truncated_normal;
        let mut place = scope.child("mlp");
        MocoHead {
            mlp: Mlp::new(inputs, config, Activation::Relu, linear, &mut place),
        }
    }

    /// Features `[n, d]` to embeddings of length 1, `[n, out_dim]`.
    pub fn forward(&self, features_nd: &Tensor, train: bool) -> Tensor {
        normalize(&self.mlp.forward(features_nd, train))
    }
}
