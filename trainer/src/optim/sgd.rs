//! Stochastic gradient descent with momentum, without dampening (PyTorch's `torch.optim.SGD`).

use tch::Tensor;

use super::lars;

/// `d = g + wd * p`.
pub(super) fn update(param: &Tensor, gradient: &Tensor, weight_decay: f64) -> Tensor {
    lars::decayed(param, gradient, weight_decay)
}
