//! The order of samples, and draws from each class: by a seeded hash of their keys, and by nothing else.
//!
//! Memory does not grow with the number of samples, see [`crate::alike`].

use fixedbitset::FixedBitSet;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::alike::{self, Hashed};
use crate::error::ToolError;

/// Distinguishes the draw of the validation part from that of the order.
const VAL_SEED: u64 = 0x5eed_0f7a_11da_7e00;
/// Samples with keys, each of a class; both have numbers.
pub(crate) trait Keyed {
    /// How many there are.
    fn num_items(&self) -> usize;

    /// Above all of their numbers.
    fn end(&self) -> usize;

    /// Above all numbers of classes.
    fn num_classes(&self) -> usize;

    /// Calls `visit` with number, class and key of each sample, in any order.
    fn each(&self, visit: &mut dyn FnMut(u32, usize, &str)) -> Result<(), ToolError>;

    /// Class and key of one sample.
    fn class_and_key(&self, item: u32) -> Result<(usize, String), ToolError>;
}

/// Calls `visit` with the number of each sample, in the order of a seeded hash of the keys, and of the keys where hashes are
/// equal.
pub(crate) fn visit(
    samples: &impl Keyed,
    seed: u64,
    mut visit: impl FnMut(u32) -> Result<(), ToolError>,
) -> Result<(), ToolError> {
    let hash = |key: &str| xxh3_64_with_seed(key.as_bytes(), seed);
    let scan =
        |offer: &mut dyn FnMut(u64, u32)| samples.each(&mut |item, _, key| offer(hash(key), item));
    alike::in_hash_order(samples.num_items() as u64, scan, |run| {
        for same in alike::same_hash(run) {
            by_key(samples, same)?
                .into_iter()
                .try_for_each(&mut visit)?;
        }
        Ok(())
    })
}

/// Samples whose hashes are equal, by key.
fn by_key(samples: &impl Keyed, same: &[Hashed<u32>]) -> Result<Vec<u32>, ToolError> {
    if let [(_, only)] = same {
        return Ok(vec![*only]);
    }
    let with_key = |(_, item): &Hashed<u32>| Ok((samples.class_and_key(*item)?.1, *item));
    let mut keyed: Vec<(String, u32)> = same
        .iter()
        .map(with_key)
        .collect::<Result<_, ToolError>>()?;
    keyed.sort_unstable();
    Ok(keyed.into_iter().map(|(_, item)| item).collect())
}

/// Draws `quota` samples of each class, where `quota` is told how many the class has: those whose seeded hash is smallest.
pub(crate) fn draw(
    samples: &impl Keyed,
    seed: u64,
    quota: impl Fn(u64) -> u64,
) -> Result<FixedBitSet, ToolError> {
    let mut num_left = vec![0; samples.num_classes()];
    samples.each(&mut |_, class, _| num_left[class] += 1)?;
    num_left
        .iter_mut()
        .for_each(|number| *number = quota(*number));
    let mut drawn = FixedBitSet::with_capacity(samples.end());
    visit(samples, seed, |item| {
        let (class, _) = samples.class_and_key(item)?;
        if num_left[class] > 0 {
            num_left[class] -= 1;
            drawn.insert(item as usize);
        }
        Ok(())
    })?;
    Ok(drawn)
}

/// Draws validation samples: `fraction` of each class, rounded; at least one sample stays.
pub(crate) fn draw_val(
    samples: &impl Keyed,
    seed: u64,
    fraction: f64,
) -> Result<FixedBitSet, ToolError> {
    draw(samples, seed ^ VAL_SEED, |number| {
        let wanted = (number as f64 * fraction).round() as u64;
        wanted.min(number.saturating_sub(1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys, each of the class that its first letter tells.
    struct Words<'a>(&'a [&'a str]);

    impl Keyed for Words<'_> {
        fn num_items(&self) -> usize {
            self.0.len()
        }

        fn end(&self) -> usize {
            self.0.len()
        }

        fn num_classes(&self) -> usize {
            256
        }

        fn each(&self, visit: &mut dyn FnMut(u32, usize, &str)) -> Result<(), ToolError> {
            for (item, word) in (0..).zip(self.0) {
                visit(item, usize::from(word.as_bytes()[0]), word);
            }
            Ok(())
        }

        fn class_and_key(&self, item: u32) -> Result<(usize, String), ToolError> {
            let word = self.0[item as usize];
            Ok((usize::from(word.as_bytes()[0]), word.to_owned()))
        }
    }

    fn in_order<'a>(words: &[&'a str], seed: u64) -> Vec<&'a str> {
        let mut visited = Vec::new();
        let outcome = visit(&Words(words), seed, |item| {
            visited.push(words[item as usize]);
            Ok(())
        });
        outcome.expect("visits");
        visited
    }

    #[test]
    fn the_order_is_that_of_the_keys_and_the_seed_whatever_it_was_before() {
        let order = in_order(&["a", "b", "c", "d", "e", "f"], 3);
        assert_eq!(order, in_order(&["f", "e", "d", "c", "b", "a"], 3));
        assert_ne!(order, in_order(&["a", "b", "c", "d", "e", "f"], 4));
    }

    #[test]
    fn keys_of_one_hash_are_in_their_own_order() {
        let words = Words(&["b", "a", "c"]);
        let sorted = by_key(&words, &[(7, 0), (7, 1), (7, 2)]).expect("sorts");
        assert_eq!(sorted, [1, 0, 2]);
    }

    #[test]
    fn a_part_of_each_class_is_drawn_rounded_and_never_all() {
        let sizes = |fraction| {
            let words = ["a1", "a2", "a3", "a4", "a5", "b1"];
            let drawn = draw_val(&Words(&words), 1, fraction).expect("draws");
            (drawn.ones().filter(|item| *item < 5).count(), drawn[5])
        };
        assert_eq!(sizes(0.3), (2, false));
        assert_eq!(sizes(0.05), (0, false));
        assert_eq!(sizes(0.99), (4, false));
    }

    #[test]
    fn what_is_drawn_does_not_depend_on_other_classes() {
        let drawn = |words: &[&'static str]| {
            let drawn = draw(&Words(words), 5, |_| 2).expect("draws");
            let mut drawn: Vec<&str> = drawn.ones().map(|item| words[item]).collect();
            drawn.retain(|word| word.starts_with('a'));
            drawn.sort_unstable();
            drawn
        };
        assert_eq!(
            drawn(&["a1", "a2", "a3", "a4"]),
            drawn(&["b1", "a4", "a3", "b2", "a2", "a1"])
        );
    }
}
