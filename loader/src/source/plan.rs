//! Which samples make up which batch: pure arithmetic over the subscription and the number of samples.

use loader_ipc::{ErrorKind, Order, Reason, StreamInfo, Subscription};

use crate::source::order::Permutation;

/// The batches of one stream.
#[derive(Debug, Clone)]
pub struct Plan {
    order: Order,
    seed: u64,
    num_samples: u64,
    batch_size: u64,
    rank: u64,
    world_size: u64,
    steps_per_epoch: u64,
}

/// The samples of one batch of one rank in row order, each by its place among those that are served; fewer than a batch only at the end of an
/// epoch.
pub type Rows = Vec<u64>;

impl Plan {
    /// The plan for `subscription` over `num_samples` that are served.
    ///
    /// # Errors
    /// When the subscription's numbers make no sense, or the split is smaller than one global batch.
    pub fn new(subscription: &Subscription, num_samples: u64) -> Result<Plan, Reason> {
        let &Subscription {
            order,
            seed,
            batch_size,
            rank,
            world_size,
            ..
        } = subscription;
        check(subscription)?;
        let global_batch = u64::from(batch_size) * u64::from(world_size);
        let steps_per_epoch = if subscription.drop_last {
            num_samples / global_batch
        } else {
            num_samples.div_ceil(global_batch)
        };
        let (batch_size, rank, world_size) = (batch_size.into(), rank.into(), world_size.into());
        if steps_per_epoch == 0 {
            let place = format!(
                "split `{}`: {global_batch} needed ({batch_size} x {world_size} ranks), {num_samples} found",
                subscription.split
            );
            let what = "too few samples for one global batch";
            let remedy = "lower the batch size or use fewer ranks";
            return Err(Reason::new(ErrorKind::Data, what, place, remedy));
        }
        if subscription.start_step >= steps_per_epoch {
            let what = format!(
                "start step {} in an epoch of {steps_per_epoch} steps",
                subscription.start_step
            );
            return Err(bad_subscription(subscription, &what));
        }
        Ok(Plan {
            order,
            seed,
            num_samples,
            batch_size,
            rank,
            world_size,
            steps_per_epoch,
        })
    }

    /// Batches of this rank per epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        self.steps_per_epoch
    }

    /// Batches of the whole stream.
    pub fn num_batches(&self, subscription: &Subscription) -> u64 {
        subscription.num_epochs.saturating_mul(self.steps_per_epoch) - subscription.start_step
    }

    /// The samples of batch number `sequence` of the stream that `info` describes.
    pub fn rows(&self, info: &StreamInfo, sequence: u64) -> Rows {
        let (epoch, step) = info.position(sequence);
        let first = (step * self.world_size + self.rank) * self.batch_size;
        let positions = first..(first + self.batch_size).min(self.num_samples);
        match self.order {
            Order::Sequential => positions.collect(),
            Order::Shuffled => {
                let permutation = Permutation::new(self.seed, epoch, self.num_samples);
                positions
                    .map(|position| permutation.sample(position))
                    .collect()
            }
        }
    }
}

fn check(subscription: &Subscription) -> Result<(), Reason> {
    let mut broken = subscription.recipe.violations();
    let Subscription {
        batch_size,
        rank,
        world_size,
        num_epochs,
        ..
    } = subscription;
    if *batch_size == 0 {
        broken.push("batch size 0; a batch has at least 1 sample".into());
    }
    if *world_size == 0 || rank >= world_size {
        broken.push(format!("rank {rank} of {world_size}; ranks count from 0"));
    }
    if *num_epochs == 0 {
        broken.push("0 epochs; at least 1".into());
    }
    let last_epoch = subscription.start_epoch.checked_add(*num_epochs);
    if last_epoch.is_none_or(|epoch| epoch > u64::from(u32::MAX)) {
        broken.push("epochs beyond 2^32; views are drawn by 32-bit epochs".into());
    }
    match broken.is_empty() {
        true => Ok(()),
        false => Err(bad_subscription(subscription, &broken.join("; "))),
    }
}

fn bad_subscription(subscription: &Subscription, what: &str) -> Reason {
    let place = format!("subscriber `{}`", subscription.name);
    let what = format!("bad subscription: {what}");
    Reason::new(ErrorKind::Usage, what, place, "ask for what is possible")
}

#[cfg(test)]
mod tests {
    use super::*;
    use loader_ipc::{Geometry, Recipe};
    use proptest::prelude::*;

    fn subscription(order: Order, batch_size: u32, rank: u32, world_size: u32) -> Subscription {
        Subscription {
            rank,
            world_size,
            seed: 5,
            order,
            drop_last: order == Order::Shuffled,
            num_epochs: 2,
            ..Subscription::new("train", Recipe::evaluation(8, 8), batch_size)
        }
    }

    fn info(plan: &Plan, subscription: &Subscription) -> StreamInfo {
        StreamInfo {
            pid: 0,
            num_samples: plan.num_samples,
            num_unlabelled: 0,
            classes: Vec::new(),
            steps_per_epoch: plan.steps_per_epoch(),
            num_batches: plan.num_batches(subscription),
            start_epoch: subscription.start_epoch,
            start_step: subscription.start_step,
            geometry: Geometry::new(&subscription.recipe, subscription.batch_size, 2),
            not_on_card: None,
        }
    }

    fn epoch(order: Order, batch_size: u32, world_size: u32, num_samples: u64) -> Vec<Rows> {
        let ranks = (0..world_size).map(|rank| {
            let subscription = subscription(order, batch_size, rank, world_size);
            let plan = Plan::new(&subscription, num_samples).unwrap();
            let info = info(&plan, &subscription);
            (0..plan.steps_per_epoch())
                .map(|step| plan.rows(&info, step))
                .collect::<Vec<_>>()
        });
        ranks.flatten().collect()
    }

    proptest! {
        #[test]
        fn a_shuffled_epoch_repeats_nothing_and_drops_less_than_a_global_batch(
            batch in 1u32..9, world in 1u32..5, num_samples in 40u64..400,
        ) {
            let mut seen: Vec<u64> = epoch(Order::Shuffled, batch, world, num_samples).concat();
            let served = seen.len() as u64;
            seen.sort_unstable();
            seen.dedup();
            prop_assert_eq!(seen.len() as u64, served);
            prop_assert!(num_samples - served < u64::from(batch * world));
        }

        #[test]
        fn a_sequential_epoch_serves_every_sample_once(batch in 1u32..9, world in 1u32..5, num_samples in 1u64..400) {
            let mut seen: Vec<u64> = epoch(Order::Sequential, batch, world, num_samples).concat();
            seen.sort_unstable();
            prop_assert!(seen.into_iter().eq(0..num_samples));
        }
    }

    #[test]
    fn a_shuffled_epoch_that_drops_nothing_ends_with_a_partial_batch() {
        let whole = Subscription {
            drop_last: false,
            ..subscription(Order::Shuffled, 4, 0, 1)
        };
        let plan = Plan::new(&whole, 10).unwrap();
        assert_eq!(plan.steps_per_epoch(), 3);
        let info = info(&plan, &whole);
        let epoch: Vec<Rows> = (0..3).map(|step| plan.rows(&info, step)).collect();
        assert_eq!(epoch[2].len(), 2);
        let mut seen = epoch.concat();
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..10));
    }

    #[test]
    fn the_global_batch_does_not_depend_on_how_many_ranks_share_it() {
        let alone = epoch(Order::Shuffled, 8, 1, 100);
        let shared = epoch(Order::Shuffled, 4, 2, 100);
        let steps = alone.len();
        for step in 0..steps {
            assert_eq!(
                alone[step],
                [shared[step].clone(), shared[steps + step].clone()].concat()
            );
        }
    }

    #[test]
    fn a_split_smaller_than_the_global_batch_is_refused_with_both_numbers() {
        let error = Plan::new(&subscription(Order::Shuffled, 128, 0, 8), 900)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("1024 needed") && error.contains("900 found"),
            "{error}"
        );
    }

    #[test]
    fn a_resumed_stream_serves_what_the_whole_one_would_have() {
        let whole = subscription(Order::Shuffled, 4, 0, 1);
        let resumed = Subscription {
            start_epoch: 1,
            start_step: 3,
            num_epochs: 1,
            ..whole.clone()
        };
        let plan = Plan::new(&whole, 41).unwrap();
        let (whole, resumed) = (info(&plan, &whole), info(&plan, &resumed));
        assert_eq!((whole.num_batches, resumed.num_batches), (20, 7));
        for sequence in 0..resumed.num_batches {
            assert_eq!(
                plan.rows(&resumed, sequence),
                plan.rows(&whole, 13 + sequence)
            );
        }
    }

    #[test]
    fn contradictions_are_all_named() {
        let broken = Subscription {
            num_epochs: 0,
            ..subscription(Order::Shuffled, 0, 3, 2)
        };
        let error = Plan::new(&broken, 100).unwrap_err().to_string();
        for word in ["batch size 0", "rank 3 of 2", "0 epochs"] {
            assert!(error.contains(word), "{error}");
        }
        let late = Subscription {
            start_step: 25,
            ..subscription(Order::Shuffled, 4, 0, 1)
        };
        assert!(Plan::new(&late, 100).is_err());
    }
}
