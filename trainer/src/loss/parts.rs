//! A loss over pairs of views, as its two halves and their weighted sum (SSLight section 3.3.4).

use tch::Tensor;

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
    /// What a prediction is held against.
    pub choices: Choices,
}

/// What a prediction chooses among, or is to become.
#[derive(Debug)]
pub enum Choices {
    /// One of so many: the key and a queue of others.
    OneOf(i64),
    /// Targets `[n, k]`, distributions over prototypes.
    Targets(Tensor),
}

impl Choices {
    /// Their number K.
    pub fn count(&self) -> i64 {
        match self {
            Choices::OneOf(count) => *count,
            Choices::Targets(targets_nk) => targets_nk.size()[1],
        }
    }
}

impl LossParts {
    /// `w_g * global + w_l * local`.
    pub fn weighted(
        global: Tensor,
        local: Tensor,
        weights: Weights,
        choices: Choices,
    ) -> LossParts {
        LossParts {
            total: &global * weights[0] + &local * weights[1],
            global,
            local: Some(local),
            choices,
        }
    }

    /// The global-global half alone, unweighted (`GLOBAL_ONLY`).
    pub fn global_only(global: Tensor, choices: Choices) -> LossParts {
        LossParts {
            total: global.shallow_clone(),
            global,
            local: None,
            choices,
        }
    }
}
