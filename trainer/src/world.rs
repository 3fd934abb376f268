//! The processes that train one model together: what a method sums and gathers over all of them.
//!
//! One process alone is the only world that a run has yet; tests hold methods against a world of two.

use std::fmt::Debug;

use tch::Tensor;

/// All ranks of a run, as one of them sees them. Every rank makes the same calls in the same order, with tensors of the same shape.
pub trait World: Debug {
    /// Number of processes.
    fn size(&self) -> i64;

    /// Which of them this one is, from 0.
    fn rank(&self) -> i64;

    /// The sum of a tensor over all ranks. Where a gradient flows back it is summed over all ranks too.
    fn sum(&self, mine: Tensor) -> Tensor;

    /// The mean of a tensor over all ranks.
    fn mean(&self, mine: Tensor) -> Tensor {
        match self.size() {
            1 => mine,
            size => self.sum(mine) / size,
        }
    }

    /// The rows of all ranks, in the order of ranks: `[b, ..]` to `[size * b, ..]`. No gradient flows back.
    fn gather(&self, mine: &Tensor) -> Tensor;

    /// Rank 0's tensor, everywhere.
    fn broadcast(&self, mine: Tensor) -> Tensor;

    /// Gradients of the mean of all ranks' losses, for parameters that all ranks hold alike.
    fn gradients(&self, loss: &Tensor, params: &[&Tensor]) -> Vec<Tensor> {
        let mine = Tensor::run_backward(&[loss], params, false, false);
        mine.into_iter().map(|mine| self.mean(mine)).collect()
    }

    /// A seed of this rank alone, from one that all ranks have; rank 0 has that one.
    fn seed(&self, of_all: i64) -> i64 {
        of_all.wrapping_add(self.rank())
    }
}

/// One process without others.
#[derive(Debug, Clone, Copy)]
pub struct Alone;

impl World for Alone {
    fn size(&self) -> i64 {
        1
    }

    fn rank(&self) -> i64 {
        0
    }

    fn sum(&self, mine: Tensor) -> Tensor {
        mine
    }

    fn gather(&self, mine: &Tensor) -> Tensor {
        mine.shallow_clone()
    }

    fn broadcast(&self, mine: Tensor) -> Tensor {
        mine
    }
}
