//! Values that change with the step or the epoch: learning rate, weight decay, teacher momentum, teacher temperature.
//!
//! All are pure functions of the step (or epoch) counted from 0, so a resumed run needs no state of theirs. Past its end a
//! schedule keeps its last value.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// Linear warm-up, then a shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    warmup_start: f64,
    warmup_steps: u64,
    base: f64,
    shape: Shape,
    total_steps: u64,
    /// Steps for which a value stays.
    held: u64,
}

/// The schedules, with the number of steps known.
#[derive(Debug, Clone, PartialEq)]
pub struct RateSchedules {
    /// Learning rate.
    pub lr: Schedule,
    /// Weight decay.
    pub weight_decay: Schedule,
    /// Teacher momentum.
    pub momentum: Schedule,
}

/// What follows the warm-up.
#[derive(Debug, Clone, PartialEq)]
enum Shape {
    /// Half a cosine from the base value to `end`.
    Cosine { end: f64 },
    /// The base value, multiplied by `gamma` at each of these steps.
    Multistep { milestones: Vec<u64>, gamma: f64 },
}

/// The teacher's temperature: linear over the first epochs, then constant (`DINO.*_TEACHER_TEMP*`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TeacherTemperature {
    /// Value in epoch 0.
    pub start: f64,
    /// Value from epoch `warmup_epochs - 1` on.
    pub end: f64,
    /// Length of the linear part; a run shorter than this just never reaches `end`.
    pub warmup_epochs: u64,
}

impl Schedule {
    /// Half a cosine from `base` to `end` over `total_steps`.
    pub fn cosine(base: f64, end: f64, total_steps: u64) -> Schedule {
        Schedule {
            warmup_start: base,
            warmup_steps: 0,
            base,
            shape: Shape::Cosine { end },
            total_steps,
            held: 1,
        }
    }

    /// `base`, times `gamma` from each milestone (a step) on.
    pub fn multistep(base: f64, milestones: Vec<u64>, gamma: f64, total_steps: u64) -> Schedule {
        Schedule {
            warmup_start: base,
            warmup_steps: 0,
            base,
            shape: Shape::Multistep { milestones, gamma },
            total_steps,
            held: 1,
        }
    }

    /// The same with its first `steps` replaced by `linspace(start, base, steps)`, both ends included.
    pub fn with_warmup(mut self, start: f64, steps: u64) -> Schedule {
        self.warmup_start = start;
        self.warmup_steps = steps;
        self
    }

    /// The same, but a value stays for so many steps.
    pub fn held_for(mut self, steps: u64) -> Schedule {
        self.held = steps.max(1);
        self
    }

    /// The value at `step`, counted from 0.
    pub fn at(&self, step: u64) -> f64 {
        let step = step - step % self.held;
        let step = step.min(self.total_steps.saturating_sub(1));
        if step < self.warmup_steps {
            return linspace(self.warmup_start, self.base, self.warmup_steps, step);
        }
        match &self.shape {
            Shape::Cosine { end } => {
                let length = (self.total_steps - self.warmup_steps) as f64;
                let angle = PI * (step - self.warmup_steps) as f64 / length;
                end + 0.5 * (self.base - end) * (1.0 + angle.cos())
            }
            Shape::Multistep { milestones, gamma } => {
                let passed = milestones.iter().filter(|at| step >= **at).count();
                self.base * gamma.powi(passed as i32)
            }
        }
    }
}

impl TeacherTemperature {
    /// The value in `epoch`, counted from 0.
    pub fn at(&self, epoch: u64) -> f64 {
        if epoch < self.warmup_epochs {
            linspace(self.start, self.end, self.warmup_epochs, epoch)
        } else {
            self.end
        }
    }
}

/// Element `index` of `num` equally spaced values from `start` to `end`, both included (numpy's `linspace`).
fn linspace(start: f64, end: f64, num: u64, index: u64) -> f64 {
    if num > 1 && index + 1 == num {
        return end;
    }
    let gaps = num.saturating_sub(1).max(1) as f64;
    start + index as f64 * ((end - start) / gaps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warm_up_starts_and_ends_on_its_two_values() {
        let schedule = Schedule::cosine(0.48, 0.0048, 100).with_warmup(0.0, 10);
        assert_eq!(schedule.at(0), 0.0);
        assert_eq!(schedule.at(9), 0.48);
        assert_eq!(schedule.at(10), 0.48);
        assert!(schedule.at(99) > 0.0048 && schedule.at(99) < 0.006);
        assert_eq!(schedule.at(1000), schedule.at(99));
    }

    #[test]
    fn a_warm_up_as_long_as_the_run_never_leaves_the_line() {
        let schedule = Schedule::cosine(1.0, 0.0, 4).with_warmup(0.25, 4);
        let values: Vec<f64> = (0..6).map(|step| schedule.at(step)).collect();
        assert_eq!(values, [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn a_schedule_that_is_held_changes_with_the_epoch_alone() {
        let by_step = Schedule::cosine(1.0, 0.0, 12);
        let held = by_step.clone().held_for(4);
        let values: Vec<f64> = (0..12).map(|step| held.at(step)).collect();
        let wanted: Vec<f64> = (0..12).map(|step| by_step.at(step / 4 * 4)).collect();
        assert_eq!(values, wanted);
    }

    #[test]
    fn milestones_multiply_the_rate() {
        let schedule = Schedule::multistep(1.0, vec![2, 4], 0.1, 6);
        let values: Vec<f64> = (0..6).map(|step| schedule.at(step)).collect();
        for (value, wanted) in values.iter().zip([1.0, 1.0, 0.1, 0.1, 0.01, 0.01]) {
            assert!((value - wanted).abs() < 1e-12, "{values:?}");
        }
    }

    #[test]
    fn a_run_shorter_than_the_teacher_warm_up_just_stops_on_the_way() {
        let temperature = TeacherTemperature {
            start: 0.04,
            end: 0.07,
            warmup_epochs: 50,
        };
        assert_eq!(temperature.at(0), 0.04);
        assert!(temperature.at(3) < 0.05);
        assert_eq!(temperature.at(49), 0.07);
        assert_eq!(temperature.at(500), 0.07);
        let none = TeacherTemperature {
            warmup_epochs: 0,
            ..temperature
        };
        assert_eq!(none.at(0), 0.07);
        let one = TeacherTemperature {
            warmup_epochs: 1,
            ..temperature
        };
        assert_eq!((one.at(0), one.at(1)), (0.04, 0.07));
    }
}
