//! The reference's parameter groups: matrices and full convolutions, depthwise convolutions, vectors.

use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Which group a parameter belongs to, by its shape alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Matrices and dense convolutions: full weight decay, adapted.
    Matrix,
    /// Convolutions with one input channel per group.
    Depthwise,
    /// One-dimensional parameters: biases and normalisation.
    Vector,
}

/// `SOLVER.{WD_FACTOR_FOR_BIAS,WD_FACTOR_FOR_DW,LARS_EXCLUDE_BIAS,LARS_EXCLUDE_DW}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupRules {
    /// Weight-decay factor of one-dimensional parameters.
    pub vector_decay_factor: f64,
    /// Weight-decay factor of depthwise convolutions.
    pub depthwise_decay_factor: f64,
    /// Whether LARS leaves one-dimensional parameters unadapted.
    pub exclude_vector: bool,
    /// Whether LARS leaves depthwise convolutions unadapted.
    pub exclude_depthwise: bool,
}

impl Group {
    /// The group of a parameter.
    pub fn of(param: &Tensor) -> Group {
        match param.size().as_slice() {
            [_] => Group::Vector,
            [_, 1, _, _] => Group::Depthwise,
            _ => Group::Matrix,
        }
    }
}

impl GroupRules {
    /// What the scheduled weight decay is multiplied with.
    pub fn weight_decay_factor(&self, group: Group) -> f64 {
        match group {
            Group::Matrix => 1.0,
            Group::Depthwise => self.depthwise_decay_factor,
            Group::Vector => self.vector_decay_factor,
        }
    }

    /// Whether LARS scales the update by the norms.
    pub fn is_adapted(&self, group: Group) -> bool {
        match group {
            Group::Matrix => true,
            Group::Depthwise => !self.exclude_depthwise,
            Group::Vector => !self.exclude_vector,
        }
    }
}
