//! LARS (You et al. 2017), the form without Nesterov and with the weight decay inside the adapted update.

use tch::Tensor;
use torch_shim::foreach;

/// The trust coefficient.
const ETA: f64 = 0.001;

/// `d = g + wd * p` of each parameter.
pub(super) fn decayed(params: &[&Tensor], gradients: &[&Tensor], weight_decay: f64) -> Vec<Tensor> {
    let pairs = params.iter().zip(gradients);
    if weight_decay == 0.0 {
        return pairs
            .map(|(_, gradient)| gradient.shallow_clone())
            .collect();
    }
    let weight_decay = scalar(weight_decay, params[0]);
    let decayed = |(param, gradient): (&&Tensor, &&Tensor)| gradient.addcmul(param, &weight_decay);
    pairs.map(decayed).collect()
}

/// `d * eta * |p| / |d|` where both norms are above 0, else `d`.
pub(super) fn adapted(params: &[&Tensor], updates: &[Tensor]) -> Vec<Tensor> {
    let param_norms = foreach::norms(params);
    let update_norms = foreach::norms(updates);
    let both_positive = param_norms.gt(0.0).logical_and(&update_norms.gt(0.0));
    let trust = &param_norms * ETA / &update_norms;
    let trust = trust.where_self(&both_positive, &scalar(1.0, &trust));
    let adapted = |(update, trust): (&Tensor, &Tensor)| update * trust;
    updates.iter().zip(&trust.unbind(0)).map(adapted).collect()
}

/// A value as a tensor without dimensions, on the device and in the precision of another.
fn scalar(value: f64, like: &Tensor) -> Tensor {
    Tensor::full([] as [i64; 0], value, (like.kind(), like.device()))
}
