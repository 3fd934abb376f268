//! Convolution, normalisation, linear and dropping layers over [`Scope`]. Each computes in the precision of what it is given.

use std::rc::Rc;

use tch::{Device, Kind, Tensor, no_grad};

use super::init;
use super::parameters::Scope;
use super::precision::at_least_single;
use crate::world::World;

const BATCH_NORM_MOMENTUM: f64 = 0.1;
const BATCH_NORM_EPS: f64 = 1e-5;
const LAYER_NORM_EPS: f64 = 1e-6;
/// From here on a linear layer on the CPU is quicker as a convolution.
const MANY_ROWS: i64 = 1024;

/// A square convolution without bias; padding keeps the size at stride 1.
#[derive(Debug)]
pub struct Conv2d {
    weight: Tensor,
    stride: i64,
    padding: i64,
    groups: i64,
}

/// What a convolution looks like.
#[derive(Debug, Clone, Copy)]
pub struct ConvShape {
    /// Channels in.
    pub inputs: i64,
    /// Channels out.
    pub outputs: i64,
    /// Height and width of the kernel.
    pub kernel: i64,
    /// Step in both directions.
    pub stride: i64,
    /// Channel groups; as many as channels for a depthwise convolution.
    pub groups: i64,
}

/// Batch normalisation over all but the channel dimension (dimension 1), with running statistics. Where there are several ranks their
/// batches, of one size, are normalised as one.
#[derive(Debug)]
pub struct BatchNorm {
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    world: Rc<dyn World>,
}

/// Normalisation of each token over its values (Ba et al. 2016), with eps 1e-6.
#[derive(Debug)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
}

/// `x W^T + b`.
#[derive(Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl ConvShape {
    /// A dense convolution.
    pub fn dense(inputs: i64, outputs: i64, kernel: i64, stride: i64) -> ConvShape {
        ConvShape {
            inputs,
            outputs,
            kernel,
            stride,
            groups: 1,
        }
    }

    /// A 3x3 depthwise convolution.
    pub fn depthwise(channels: i64, stride: i64) -> ConvShape {
        ConvShape {
            inputs: channels,
            outputs: channels,
            kernel: 3,
            stride,
            groups: channels,
        }
    }
}

impl Conv2d {
    /// Registers `weight` with Kaiming fan-out values.
    pub fn new(shape: ConvShape, scope: &mut Scope) -> Conv2d {
        let dims = [
            shape.outputs,
            shape.inputs / shape.groups,
            shape.kernel,
            shape.kernel,
        ];
        let weight = init::kaiming_normal_fan_out(dims, scope.device());
        Conv2d {
            weight: scope.trainable("weight", weight),
            stride: shape.stride,
            padding: (shape.kernel - 1) / 2,
            groups: shape.groups,
        }
    }

    /// `[n, in, h, w]` to `[n, out, h / stride, w / stride]`.
    pub fn forward(&self, x_nchw: &Tensor) -> Tensor {
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        x_nchw.conv2d(
            &self.weight.to_kind(x_nchw.kind()),
            None::<&Tensor>,
            stride,
            padding,
            [1, 1],
            self.groups,
        )
    }
}

impl BatchNorm {
    /// Registers `weight` (1), `bias` (0), `running_mean` (0) and `running_var` (1).
    pub fn new(channels: i64, scope: &mut Scope) -> BatchNorm {
        let options = (Kind::Float, scope.device());
        BatchNorm {
            weight: scope.trainable("weight", Tensor::ones([channels], options)),
            bias: scope.trainable("bias", Tensor::zeros([channels], options)),
            running_mean: scope.buffer("running_mean", Tensor::zeros([channels], options)),
            running_var: scope.buffer("running_var", Tensor::ones([channels], options)),
            world: scope.world(),
        }
    }

    /// In training mode normalises with the batch's statistics and moves the running ones; else uses the running ones.
    pub fn forward(&self, x: &Tensor, train: bool) -> Tensor {
        if train && self.world.size() > 1 {
            return self.forward_over_ranks(x);
        }
        x.batch_norm(
            Some(&self.weight),
            Some(&self.bias),
            Some(&self.running_mean),
            Some(&self.running_var),
            train,
            BATCH_NORM_MOMENTUM,
            BATCH_NORM_EPS,
            true,
        )
    }

    fn forward_over_ranks(&self, x: &Tensor) -> Tensor {
        let (single, channels) = (at_least_single(x), x.size()[1]);
        let mut others: Vec<i64> = (0..x.dim() as i64).collect();
        others.remove(1);
        let mean = |values: &Tensor| {
            let mine = values.mean_dim(others.as_slice(), true, None::<Kind>);
            self.world.mean(mine)
        };
        let average = mean(&single);
        let centred = single - &average;
        let variance = mean(&centred.square());
        let count = (x.numel() as i64 / channels * self.world.size()) as f64;
        no_grad(|| {
            let unbiased = &variance * (count / (count - 1.0));
            for (running, now) in [
                (&self.running_mean, &average),
                (&self.running_var, &unbiased),
            ] {
                let now = now.view([channels]);
                let _ = running.shallow_clone().lerp_(&now, BATCH_NORM_MOMENTUM);
            }
        });
        let per_channel = |values: &Tensor| values.view_as(&average);
        let scale = (variance + BATCH_NORM_EPS).rsqrt() * per_channel(&self.weight);
        (centred * scale + per_channel(&self.bias)).to_kind(x.kind())
    }
}

impl LayerNorm {
    /// Registers `weight` (1) and `bias` (0).
    pub fn new(width: i64, scope: &mut Scope) -> LayerNorm {
        let options = (Kind::Float, scope.device());
        LayerNorm {
            weight: scope.trainable("weight", Tensor::ones([width], options)),
            bias: scope.trainable("bias", Tensor::zeros([width], options)),
        }
    }

    /// `[.., width]` to the same.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let (weight, bias) = (Some(&self.weight), Some(&self.bias));
        x.layer_norm(self.weight.size(), weight, bias, LAYER_NORM_EPS, true)
    }
}

/// Stochastic depth (Huang et al. 2016): each row of a branch `[n, ..]` becomes 0 with this probability, and what stays is scaled so that
/// the mean does. Draws from the global random state.
pub fn drop_path(branch: Tensor, probability: f64) -> Tensor {
    if probability == 0.0 {
        return branch;
    }
    let keep = 1.0 - probability;
    let mut shape = vec![1; branch.dim()];
    shape[0] = branch.size()[0];
    // In half precision the sum would be rounded up to 1 too often.
    let kind = at_least_single(&branch).kind();
    let kept = Tensor::rand(shape, (kind, branch.device())) + keep;
    let kept = kept.floor().to_kind(branch.kind());
    branch / keep * kept
}

/// Rows of length 1 (rows shorter than 1e-12 are divided by 1e-12), in at least single precision.
pub fn normalize(x_nd: &Tensor) -> Tensor {
    let x_nd = at_least_single(x_nd);
    let length = x_nd.norm_scalaropt_dim(2.0, [-1], true);
    x_nd / length.clamp_min(1e-12)
}

impl Linear {
    /// Registers `weight` (given) and `bias` (given).
    pub fn new(weight: Tensor, bias: Tensor, scope: &mut Scope) -> Linear {
        Linear {
            weight: scope.trainable("weight", weight),
            bias: scope.trainable("bias", bias),
        }
    }

    /// A linear layer with PyTorch's default first values.
    pub fn with_default_init(inputs: i64, outputs: i64, scope: &mut Scope) -> Linear {
        let device = scope.device();
        let weight = init::uniform_fan_in(&[outputs, inputs], inputs, device);
        let bias = init::uniform_fan_in(&[outputs], inputs, device);
        Linear::new(weight, bias, scope)
    }

    /// A linear layer with truncated normal weights of standard deviation .02 and bias 0.
    pub fn with_truncated_normal(inputs: i64, outputs: i64, scope: &mut Scope) -> Linear {
        let device = scope.device();
        let weight = init::truncated_normal(&[outputs, inputs], 0.02, device);
        let bias = Tensor::zeros([outputs], (Kind::Float, device));
        Linear::new(weight, bias, scope)
    }

    /// A linear layer with normal weights of standard deviation .01 and bias 0.
    pub fn with_small_normal(inputs: i64, outputs: i64, scope: &mut Scope) -> Linear {
        let device = scope.device();
        let bias = Tensor::zeros([outputs], (Kind::Float, device));
        Linear::new(Linear::small_normal(inputs, outputs, device), bias, scope)
    }

    /// Normal weights `[outputs, inputs]` of standard deviation .01.
    pub fn small_normal(inputs: i64, outputs: i64, device: Device) -> Tensor {
        Tensor::randn([outputs, inputs], (Kind::Float, device)) * 0.01
    }

    /// `[.., in]` to `[.., out]`.
    pub fn forward(&self, x_nd: &Tensor) -> Tensor {
        let kind = x_nd.kind();
        let (weight, bias) = (self.weight.to_kind(kind), self.bias.to_kind(kind));
        let num_rows = x_nd.numel() as i64 / weight.size()[1];
        let is_single_on_cpu = (kind, x_nd.device()) == (Kind::Float, Device::Cpu);
        if is_single_on_cpu && num_rows >= MANY_ROWS {
            pointwise(x_nd, &weight, &bias)
        } else {
            x_nd.linear(&weight, Some(&bias))
        }
    }
}

/// The same as a convolution of one pixel over an image of one line, since libtorch's convolutions (oneDNN) share many rows better among
/// threads than its products of matrices (MKL): some 4 % of a ViT-Ti's step on two cores of an AMD EPYC.
fn pointwise(x_nd: &Tensor, weight: &Tensor, bias: &Tensor) -> Tensor {
    let [outputs, inputs] = weight.size()[..] else {
        unreachable!("a weight is a matrix");
    };
    let mut shape = x_nd.size();
    *shape.last_mut().expect("rows") = outputs;
    let x_nchw = x_nd.reshape([1, 1, -1, inputs]).permute([0, 3, 1, 2]);
    let weight = weight.view([outputs, inputs, 1, 1]);
    let y_nchw = x_nchw.conv2d(&weight, Some(bias), 1, 0, 1, 1);
    y_nchw.permute([0, 2, 3, 1]).reshape(shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Machine;
    use crate::model::parameters::Parameters;

    #[test]
    fn many_rows_come_out_as_few_do() {
        let mut parameters = Parameters::new();
        let machine = Machine::cpu();
        let layer = Linear::with_default_init(5, 3, &mut parameters.scope(&machine));
        let x = Tensor::arange(2 * MANY_ROWS * 5, (Kind::Float, Device::Cpu)).sin();
        let x_bnd = x.view([2, MANY_ROWS, 5]);
        let whole = layer.forward(&x_bnd);
        assert_eq!(whole.size(), [2, MANY_ROWS, 3]);
        let expected = x_bnd.linear(&layer.weight, Some(&layer.bias));
        assert!(whole.allclose(&expected, 1e-5, 1e-6, false));
    }
}
