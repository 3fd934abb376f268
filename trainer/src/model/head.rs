//! The DINO projection head (Caron et al. 2021, section 3 and appendix C; SSLight section 4).

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::init;
use super::layers::{BatchNorm, Linear};
use super::parameters::Scope;

/// `DINOHead.*`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeadConfig {
    /// Number of prototypes K.
    pub out_dim: i64,
    /// Width of the hidden layers.
    pub hidden_dim: i64,
    /// Width before the last layer.
    pub bottleneck_dim: i64,
    /// Linear layers before the last one.
    pub num_layers: i64,
    /// Batch normalisation after every hidden layer.
    pub use_batch_norm: bool,
    /// Keeps the length of the last layer's rows at 1 (`NORM_LAST_YEAR`, the reference's spelling).
    pub fix_last_norm: bool,
}

/// A perceptron with GELU, L2 normalisation, and a weight-normalised last layer without bias.
#[derive(Debug)]
pub struct DinoHead {
    layers: Vec<Hidden>,
    out: Linear,
    last_g: Tensor,
    last_v: Tensor,
}

#[derive(Debug)]
struct Hidden {
    linear: Linear,
    norm: Option<BatchNorm>,
}

impl DinoHead {
    /// Registers `mlp.*` and `last_layer.weight_{g,v}` for features of `inputs` values.
    pub fn new(inputs: i64, config: &HeadConfig, scope: &mut Scope) -> DinoHead {
        let mut mlp = scope.child("mlp");
        let mut layers = Vec::new();
        let (mut width, mut place) = (inputs, 0);
        for _ in 1..config.num_layers {
            let linear =
                Linear::with_truncated_normal(width, config.hidden_dim, &mut mlp.child(place));
            let norm = config
                .use_batch_norm
                .then(|| BatchNorm::new(config.hidden_dim, &mut mlp.child(place + 1)));
            // Linear, batch normalisation if any, GELU: PyTorch numbers all three.
            place += if norm.is_some() { 3 } else { 2 };
            width = config.hidden_dim;
            layers.push(Hidden { linear, norm });
        }
        let out = output_layer(width, config, place, &mut mlp);
        let (last_g, last_v) = last_layer(config, &mut scope.child("last_layer"));
        DinoHead {
            layers,
            out,
            last_g,
            last_v,
        }
    }

    /// Features `[n, d]` to logits `[n, out_dim]`.
    pub fn forward(&self, features_nd: &Tensor, train: bool) -> Tensor {
        let mut x = features_nd.shallow_clone();
        for layer in &self.layers {
            x = layer.forward(&x, train);
        }
        let x = normalize(&self.out.forward(&x));
        let weight_kd = Tensor::internal_weight_norm(&self.last_v, &self.last_g, 0);
        x.linear(&weight_kd, None::<&Tensor>)
    }
}

impl Hidden {
    fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        let x = self.linear.forward(x);
        let x = match &self.norm {
            Some(norm) => norm.forward(&x, train),
            None => x,
        };
        x.gelu("none")
    }
}

/// Rows of length 1 (rows shorter than 1e-12 are divided by 1e-12).
pub fn normalize(x_nd: &Tensor) -> Tensor {
    let length = x_nd.norm_scalaropt_dim(2.0, [-1], true);
    x_nd / length.clamp_min(1e-12)
}

fn output_layer(width: i64, config: &HeadConfig, place: i64, mlp: &mut Scope) -> Linear {
    if config.num_layers == 1 {
        // One layer is not a sequence in the reference, so it has no number.
        return Linear::with_truncated_normal(width, config.bottleneck_dim, mlp);
    }
    Linear::with_truncated_normal(width, config.bottleneck_dim, &mut mlp.child(place))
}

/// `weight_g` (1) and `weight_v` (PyTorch's default for a linear layer), in this order.
fn last_layer(config: &HeadConfig, scope: &mut Scope) -> (Tensor, Tensor) {
    let device = scope.device();
    let (outputs, inputs) = (config.out_dim, config.bottleneck_dim);
    let ones = Tensor::ones([outputs, 1], (Kind::Float, device));
    let g = if config.fix_last_norm {
        scope.fixed("weight_g", ones)
    } else {
        scope.trainable("weight_g", ones)
    };
    let v = init::uniform_fan_in(&[outputs, inputs], inputs, device);
    (g, scope.trainable("weight_v", v))
}
