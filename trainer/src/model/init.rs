//! First values of weights, as PyTorch's `nn.init` draws them.

use std::f64::consts::SQRT_2;

use tch::{Device, Kind, Tensor};

/// Kaiming normal, fan-out, ReLU gain, for a convolution `[out, in / groups, kernel, kernel]` (He et al. 2015).
///
/// The fan-out counts all `out` channels, also of a depthwise convolution, as PyTorch does. The result lies in memory
/// channels-last.
pub fn kaiming_normal_fan_out(shape: [i64; 4], device: Device) -> Tensor {
    let fan_out = shape[0] * shape[2] * shape[3];
    let std = (2.0 / fan_out as f64).sqrt();
    channels_last(&(Tensor::randn(shape, (Kind::Float, device)) * std))
}

/// Normal of standard deviation `std` cut at -2 and 2 (absolute, as in PyTorch), by inversion of the distribution function.
pub fn truncated_normal(shape: &[i64], std: f64, device: Device) -> Tensor {
    let edge = erf(2.0 / std / SQRT_2);
    let mut value = Tensor::empty(shape, (Kind::Float, device)).uniform_(-edge, edge);
    let _ = value.erfinv_();
    (value * (std * SQRT_2)).clamp(-2.0, 2.0)
}

/// Uniform in `[-1/sqrt(fan_in), 1/sqrt(fan_in)]`: PyTorch's default for the weight and bias of `nn.Linear`.
pub fn uniform_fan_in(shape: &[i64], fan_in: i64, device: Device) -> Tensor {
    let bound = 1.0 / (fan_in as f64).sqrt();
    Tensor::empty(shape, (Kind::Float, device)).uniform_(-bound, bound)
}

/// The same values, laid out in memory with the channel last.
pub fn channels_last(weight_oihw: &Tensor) -> Tensor {
    weight_oihw
        .permute([0, 2, 3, 1])
        .contiguous()
        .permute([0, 3, 1, 2])
}

fn erf(x: f64) -> f64 {
    f64::try_from(Tensor::from(x).erf()).unwrap_or(1.0)
}
