//! The perceptron of every head: linear layers with a normalisation, if asked for, and an activation between them.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::layers::{BatchNorm, Linear};
use super::parameters::Scope;

/// Shape of a perceptron (`DINOHead.*`, `SWAV.*`, `MOCO.*`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MlpConfig {
    /// Linear layers, at least 1.
    pub num_layers: i64,
    /// Values of the hidden layers.
    pub hidden_dim: i64,
    /// Values that come out.
    pub out_dim: i64,
    /// Batch normalisation after every hidden layer.
    pub use_batch_norm: bool,
}

/// What stands between two layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// The exact Gaussian error linear unit.
    Gelu,
}

/// How a linear layer of so many values in and out starts.
pub type NewLinear = fn(i64, i64, &mut Scope) -> Linear;

/// A perceptron.
#[derive(Debug)]
pub struct Mlp {
    hidden: Vec<Hidden>,
    out: Linear,
    activation: Activation,
}

#[derive(Debug)]
struct Hidden {
    linear: Linear,
    norm: Option<BatchNorm>,
}

impl Mlp {
    /// Registers the layers for `inputs` values. They are numbered as in PyTorch's `Sequential`, which counts normalisations and
    /// activations; a single layer is no sequence and has no number.
    pub fn new(
        inputs: i64,
        config: &MlpConfig,
        activation: Activation,
        linear: NewLinear,
        scope: &mut Scope,
    ) -> Mlp {
        let mut hidden = Vec::new();
        let (mut width, mut place) = (inputs, 0);
        for _ in 1..config.num_layers {
            let layer = linear(width, config.hidden_dim, &mut scope.child(place));
            let norm = config
                .use_batch_norm
                .then(|| BatchNorm::new(config.hidden_dim, &mut scope.child(place + 1)));
            place += if norm.is_some() { 3 } else { 2 };
            width = config.hidden_dim;
            hidden.push(Hidden {
                linear: layer,
                norm,
            });
        }
        let out = if hidden.is_empty() {
            linear(width, config.out_dim, scope)
        } else {
            linear(width, config.out_dim, &mut scope.child(place))
        };
        Mlp {
            hidden,
            out,
            activation,
        }
    }

    /// `[n, inputs]` to `[n, out_dim]`.
    pub fn forward(&self, x_nd: &Tensor, train: bool) -> Tensor {
        let mut x = x_nd.shallow_clone();
        for Hidden { linear, norm } in &self.hidden {
            x = linear.forward(&x);
            if let Some(norm) = norm {
                x = norm.forward(&x, train);
            }
            x = match self.activation {
                Activation::Relu => x.relu(),
                Activation::Gelu => x.gelu("none"),
            };
        }
        self.out.forward(&x)
    }
}
