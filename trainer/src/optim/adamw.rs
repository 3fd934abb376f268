//! AdamW (Loshchilov and Hutter 2019) with PyTorch's defaults: betas .9 and .999, eps 1e-8, decay times learning rate.

use tch::Tensor;

use super::scalar::scalar;

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPS: f64 = 1e-8;

/// The scalars of one update.
pub(super) struct Step {
    step_size: f64,
    keep: f64,
    root_correction_2: f64,
}

impl Step {
    /// Update number `num_steps` of a parameter, counted from 1.
    pub(super) fn new(num_steps: i64, lr: f64, weight_decay: f64) -> Step {
        let correction = |beta: f64| 1.0 - beta.powi(num_steps as i32);
        Step {
            step_size: lr / correction(BETA_1),
            keep: 1.0 - lr * weight_decay,
            root_correction_2: correction(BETA_2).sqrt(),
        }
    }

    /// Decays the parameter, moves both moments, then the parameter.
    pub(super) fn apply(
        &self,
        param: &mut Tensor,
        gradient: &Tensor,
        first: &mut Tensor,
        second: &mut Tensor,
    ) {
        let _ = param.g_mul_scalar_(self.keep);
        let _ = first.lerp_(gradient, 1.0 - BETA_1);
        let _ = second.lerp_(&gradient.square(), 1.0 - BETA_2);
        let denominator = (second.sqrt() / self.root_correction_2) + EPS;
        let update = &*first / denominator;
        let _ = param.addcmul_(&update, &scalar(-self.step_size, param));
    }
}
