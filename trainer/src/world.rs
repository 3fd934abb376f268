//! The processes that train one model together: what a method sums and gathers over all of them.
//!
//! One process alone is the only world that a run has yet; tests hold methods against a world of two.

use std::fmt::Debug;

use tch::{Device, Tensor};

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

    /// The same where each rank may have another number of rows, or none.
    fn gather_uneven(&self, mine: &Tensor) -> Tensor {
        let num = mine.size()[0];
        let nums = self.gather(&Tensor::from_slice(&[num]).to_device(mine.device()));
        let nums = Vec::<i64>::try_from(nums.to_device(Device::Cpu)).expect("one number a rank");
        let most = nums.iter().copied().max().unwrap_or(num);
        let mut missing = mine.size();
        missing[0] = most - num;
        let missing = Tensor::zeros(missing, (mine.kind(), mine.device()));
        let all = self.gather(&Tensor::cat(&[mine, &missing], 0));
        let of_rank = |(rank, num): (usize, &i64)| all.narrow(0, rank as i64 * most, *num);
        let parts: Vec<Tensor> = nums.iter().enumerate().map(of_rank).collect();
        Tensor::cat(&parts, 0)
    }

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
