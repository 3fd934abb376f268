//! What another batch size means for a run that goes on: where it stands, and what a person is told of it.

use std::collections::BTreeMap;

use crate::checkpoint::Position;

const KEY: &str = "TRAIN.BATCH_SIZE";

/// Images in a batch, when a checkpoint was saved and now; never the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchChange {
    /// When it was saved.
    pub then: u64,
    now: u64,
}

impl BatchChange {
    /// The change between two sets of settings, if there is one.
    pub fn between(
        then: &BTreeMap<String, String>,
        now: &BTreeMap<String, String>,
    ) -> Option<BatchChange> {
        let size = |settings: &BTreeMap<String, String>| settings.get(KEY)?.parse().ok();
        let (then, now) = (size(then)?, size(now)?);
        (then != now).then_some(BatchChange { then, now })
    }

    /// The position in batches of now. The order of an epoch's images does not depend on their batches, so the epoch goes on after the images that were
    /// seen, or up to a batch before; what is less than a batch at its end is left out.
    pub fn moved(self, position: Position, steps_per_epoch: u64) -> Position {
        let seen = position.step_in_epoch * self.then;
        let left = steps_per_epoch * self.then - seen;
        if seen > 0 && left < self.now {
            return Position {
                epoch: position.epoch + 1,
                step_in_epoch: 0,
                ..position
            };
        }
        Position {
            step_in_epoch: seen / self.now,
            ..position
        }
    }

    /// What changes with it, in one line.
    pub fn effect(self, from: Position, to: Position) -> String {
        let factor = self.now as f64 / self.then as f64;
        let rate = format!(
            "the learning rate is {factor:.3} times what it was (SOLVER.BASE_LR is for 256 images)"
        );
        let seen = from.step_in_epoch * self.then;
        let order = match to.epoch == from.epoch {
            _ if seen == 0 => "the order of the images stays".to_owned(),
            true => format!(
                "the order of the images stays, {} of this epoch are seen twice",
                seen - to.step_in_epoch * self.now
            ),
            false => "less than a batch is left of this epoch: the next one begins".to_owned(),
        };
        format!("{rate}; {order}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn settings(batch: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(KEY.to_owned(), batch.to_owned())])
    }

    #[test]
    fn the_same_size_is_no_change() {
        let then = settings("8");
        assert_eq!(BatchChange::between(&then, &settings("8")), None);
        let change = BatchChange { then: 8, now: 4 };
        assert_eq!(BatchChange::between(&then, &settings("4")), Some(change));
    }

    proptest! {
        #[test]
        fn no_image_is_skipped_but_at_an_epochs_end_and_the_loader_has_a_batch(
            then in 1_u64..70, steps_per_epoch in 1_u64..50, now in 1_u64..70, rest in 0_u64..70, step in 0_u64..50,
        ) {
            let step = step % steps_per_epoch;
            let num_samples = then * steps_per_epoch + rest % then;
            let now = now.min(num_samples);
            prop_assume!(now != then);
            let change = BatchChange { then, now };
            let from = Position { step: 1000, epoch: 3, step_in_epoch: step, is_validated: true };
            let to = change.moved(from, steps_per_epoch);
            prop_assert_eq!((to.step, to.is_validated), (1000, true));
            prop_assert!(to.step_in_epoch < num_samples / now);
            let seen = step * then;
            if to.epoch == 3 {
                prop_assert!((0..now).contains(&(seen - to.step_in_epoch * now)));
            } else {
                prop_assert!(to.epoch == 4 && to.step_in_epoch == 0 && seen > 0);
                prop_assert!(steps_per_epoch * then - seen < now);
            }
        }
    }
}
