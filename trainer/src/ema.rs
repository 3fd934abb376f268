//! The teacher: an exponential moving average of the student's parameters.

use tch::{Tensor, no_grad};
use torch_shim::foreach;

use crate::model::parameters::{Parameters, Role};
use crate::phases::{AVERAGE, timed};

/// A teacher's parameters and those they follow.
#[derive(Debug)]
pub struct MovingAverage {
    averages: Vec<Tensor>,
    values: Vec<Tensor>,
}

impl MovingAverage {
    /// Makes `teacher` equal to `student`, without gradients, and follows from then on.
    pub fn start(teacher: &mut Parameters, student: &Parameters) -> MovingAverage {
        teacher.copy_from(student);
        teacher.freeze();
        MovingAverage {
            averages: averaged(teacher),
            values: averaged(student),
        }
    }

    /// `teacher = m * teacher + (1 - m) * student` for every parameter, learnt or fixed. Running statistics are the teacher's own.
    pub fn update(&mut self, momentum: f64) {
        let update = || foreach::lerp_(&self.averages, &self.values, 1.0 - momentum);
        timed(AVERAGE, || no_grad(update));
    }
}

/// Handles to all parameters (not running statistics), in order.
fn averaged(parameters: &Parameters) -> Vec<Tensor> {
    let entries = parameters.entries().iter();
    let averaged = entries.filter(|entry| entry.role != Role::Buffer);
    averaged.map(|entry| entry.tensor.shallow_clone()).collect()
}
