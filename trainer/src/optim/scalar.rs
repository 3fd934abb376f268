//! Numbers for arithmetic on tensors.

use tch::Tensor;

/// A value as a tensor without dimensions, on the device and in the precision of another.
pub(super) fn scalar(value: f64, like: &Tensor) -> Tensor {
    Tensor::full([] as [i64; 0], value, (like.kind(), like.device()))
}
