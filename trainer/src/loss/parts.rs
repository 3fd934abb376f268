//! A loss over pairs of views, as its two halves and their weighted sum (SSLight section 3.3.4).

use tch::Tensor;

use crate::probe::ProbeLoss;

/// Weights of the two means: global-global, global-local (`MULTI_VIEWS_TRANSFORMS.LAMBDAS`).
pub type Weights = [f64; 2];

/// Losses without dimensions.
#[derive(Debug)]
pub struct LossParts {
    /// What is minimised.
    pub total: Tensor,
    /// Mean over global-global pairs, unweighted.
    pub global: Tensor,
    /// Mean over global-local pairs, unweighted; `None` where only global views count.
    pub local: Option<Tensor>,
}

impl LossParts {
    /// What is minimised, with a probe's loss if there is one.
    pub fn with_probe(&self, probe: Option<&ProbeLoss>) -> Tensor {
        match probe {
            Some(probe) => &self.total + &probe.loss,
            None => self.total.shallow_clone(),
        }
    }

    /// `w_g * global + w_l * local`.
    pub fn weighted(global: Tensor, local: Tensor, weights: Weights) -> LossParts {
        LossParts {
            total: &global * weights[0] + &local * weights[1],
            global,
            local: Some(local),
        }
    }

    /// The global-global half alone, unweighted (`GLOBAL_ONLY`).
    pub fn global_only(global: Tensor) -> LossParts {
        LossParts {
            total: global.shallow_clone(),
            global,
            local: None,
        }
    }
}
