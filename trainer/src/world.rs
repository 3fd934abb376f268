//! The processes that train one model together: what a method sums and gathers over all of them.
//!
//! One process alone is the only world that a run has yet; tests hold methods against a world of two.

use std::fmt::Debug;

use tch::Tensor;

/// All ranks of a run, as one of them sees them. Every rank makes the same calls in the same order.
pub trait World: Debug {
    /// Number of processes.
    fn size(&self) -> i64;

    /// The sum of a tensor over all ranks.
    fn sum(&self, mine: Tensor) -> Tensor;

    /// The mean of a tensor over all ranks.
    fn mean(&self, mine: Tensor) -> Tensor {
        match self.size() {
            1 => mine,
            size => self.sum(mine) / size,
        }
    }

    /// The rows of all ranks, in the order of ranks: `[b, ..]` to `[size * b, ..]`.
    fn gather(&self, mine: &Tensor) -> Tensor;
}

/// One process without others.
#[derive(Debug, Clone, Copy)]
pub struct Alone;

impl World for Alone {
    fn size(&self) -> i64 {
        1
    }

    fn sum(&self, mine: Tensor) -> Tensor {
        mine
    }

    fn gather(&self, mine: &Tensor) -> Tensor {
        mine.shallow_clone()
    }
}
