//! SwAV's projection head and prototypes (Caron et al. 2020).

use tch::{Tensor, no_grad};

use crate::model::layers::{Linear, normalize};
use crate::model::mlp::{Activation, Mlp, MlpConfig};
use crate::model::parameters::Scope;

/// A perceptron with ReLU, L2 normalisation, and a layer of prototypes without bias.
#[derive(Debug)]
pub struct SwavHead {
    projection: Mlp,
    prototypes_kd: Tensor,
}

/// What the head makes of features.
#[derive(Debug)]
pub struct SwavOutput {
    /// Embeddings of length 1, `[n, d]`.
    pub embeddings_nd: Tensor,
    /// Their products with the prototypes, `[n, k]`.
    pub scores_nk: Tensor,
}

impl SwavHead {
    /// Registers `projection.*` and `prototypes.weight` for features of `inputs` values.
    pub fn new(inputs: i64, config: &MlpConfig, prototypes: i64, scope: &mut Scope) -> SwavHead {
        let linear = Linear::with_small_normal;
        let mut place = scope.child("projection");
        let projection = Mlp::new(inputs, config, Activation::Relu, linear, &mut place);
        let weight = Linear::small_normal(config.out_dim, prototypes, scope.device());
        let prototypes_kd = scope.child("prototypes").trainable("weight", weight);
        SwavHead {
            projection,
            prototypes_kd,
        }
    }

    /// Gives every prototype length 1, in place.
    pub fn normalize_prototypes(&mut self) {
        no_grad(|| {
            let normalized = normalize(&self.prototypes_kd);
            self.prototypes_kd.copy_(&normalized);
        });
    }

    /// Features `[n, in]` to embeddings and scores.
    pub fn forward(&self, features_nd: &Tensor, train: bool) -> SwavOutput {
        let embeddings_nd = normalize(&self.projection.forward(features_nd, train));
        let scores_nk = self.scores(&embeddings_nd);
        SwavOutput {
            embeddings_nd,
            scores_nk,
        }
    }

    /// Products of embeddings `[n, d]` with the prototypes, `[n, k]`.
    pub fn scores(&self, embeddings_nd: &Tensor) -> Tensor {
        embeddings_nd.linear(&self.prototypes_kd, None::<&Tensor>)
    }
}
