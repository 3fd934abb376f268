//! LARS (You et al. 2017), the form without Nesterov and with the weight decay inside the adapted update.

use tch::Tensor;

use super::scalar::scalar;

/// The trust coefficient.
const ETA: f64 = 0.001;

/// `d = g + wd * p`; where adapted and both norms are above 0, times `eta * |p| / |d|`.
pub(super) fn update(param: &Tensor, gradient: &Tensor, weight_decay: f64, adapt: bool) -> Tensor {
    let update = decayed(param, gradient, weight_decay);
    if !adapt {
        return update;
    }
    let (param_norm, update_norm) = (param.norm(), update.norm());
    let both_positive = param_norm.gt(0.0).logical_and(&update_norm.gt(0.0));
    let trust = &param_norm * ETA / &update_norm;
    let one = scalar(1.0, param);
    update * trust.where_self(&both_positive, &one)
}

/// `g + wd * p`.
pub(super) fn decayed(param: &Tensor, gradient: &Tensor, weight_decay: f64) -> Tensor {
    if weight_decay == 0.0 {
        return gradient.shallow_clone();
    }
    gradient.addcmul(param, &scalar(weight_decay, param))
}
