//! The teacher: an exponential moving average of the student's parameters.

use tch::no_grad;

use crate::model::parameters::{Parameters, Role};

/// `teacher = m * teacher + (1 - m) * student` for every parameter, learnt or fixed. Running statistics are the teacher's own.
pub fn update(teacher: &mut [tch::Tensor], student: &[tch::Tensor], momentum: f64) {
    no_grad(|| {
        for (average, value) in teacher.iter_mut().zip(student) {
            let _ = average.lerp_(value, 1.0 - momentum);
        }
    });
}

/// Handles to all parameters (not running statistics), in order.
pub fn averaged(parameters: &Parameters) -> Vec<tch::Tensor> {
    parameters
        .entries()
        .iter()
        .filter(|entry| entry.role != Role::Buffer)
        .map(|entry| entry.tensor.shallow_clone())
        .collect()
}
