//! Items by a hash of their keys: in an order that depends on the keys and a seed alone, draws of each class, and those whose
//! keys are the same. Pure.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use fixedbitset::FixedBitSet;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Distinguishes the draw of the validation part from that of the order.
const VAL_SEED: u64 = 0x5eed_0f7a_11da_7e00;

/// These items in the order of a seeded hash of their keys, and of the keys where hashes are equal.
pub(crate) fn shuffled(
    items: impl Iterator<Item = u32>,
    seed: u64,
    key: impl Fn(u32) -> String,
) -> Vec<u32> {
    let hash = |item: u32| xxh3_64_with_seed(key(item).as_bytes(), seed);
    let mut hashed: Vec<(u64, u32)> = items.map(|item| (hash(item), item)).collect();
    hashed.sort_unstable_by(|(left, one), (right, other)| {
        let by_key = || key(*one).cmp(&key(*other));
        left.cmp(right).then_with(by_key)
    });
    hashed.into_iter().map(|(_, item)| item).collect()
}

/// Draws `quota` items of each class, where `quota` is told how many the class has: those whose seeded hash is smallest.
pub(crate) fn draw(
    items: impl Iterator<Item = u32>,
    seed: u64,
    key: impl Fn(u32) -> String,
    class: impl Fn(u32) -> usize,
    quota: impl Fn(u64) -> u64,
) -> FixedBitSet {
    let order = shuffled(items, seed, key);
    let mut num_left: HashMap<usize, u64> = HashMap::new();
    for item in &order {
        *num_left.entry(class(*item)).or_default() += 1;
    }
    num_left
        .values_mut()
        .for_each(|number| *number = quota(*number));
    let is_drawn = |item: &u32| {
        let left = num_left.get_mut(&class(*item)).expect("it was counted");
        let is_drawn = *left > 0;
        *left -= u64::from(is_drawn);
        is_drawn
    };
    let drawn = order.into_iter().filter(is_drawn);
    drawn.map(|item| item as usize).collect()
}

/// Draws validation items: `fraction` of each class, rounded; at least one item stays.
pub(crate) fn draw_val(
    items: impl Iterator<Item = u32>,
    seed: u64,
    key: impl Fn(u32) -> String,
    class: impl Fn(u32) -> usize,
    fraction: f64,
) -> FixedBitSet {
    draw(items, seed ^ VAL_SEED, key, class, |number| {
        let wanted = (number as f64 * fraction).round() as u64;
        wanted.min(number.saturating_sub(1))
    })
}

/// The items of each hash that several have, in order.
pub(crate) fn several<I: Ord>(hashed: &mut [(u64, I)]) -> impl Iterator<Item = &[(u64, I)]> {
    hashed.sort_unstable();
    let same = hashed.chunk_by(|left, right| left.0 == right.0);
    same.filter(|same| same.len() > 1)
}

/// Every item whose key an item before it has, with the first that has it; given with the hashes of their keys.
pub(crate) fn repeated<I: Copy + Ord, K: AsRef<str>>(
    mut hashed: Vec<(u64, I)>,
    key: impl Fn(I) -> K,
) -> Vec<(I, I)> {
    let mut repeated = Vec::new();
    for same in several(&mut hashed) {
        let mut firsts: HashMap<String, I> = HashMap::new();
        for (_, item) in same {
            match firsts.entry(key(*item).as_ref().to_owned()) {
                Entry::Occupied(first) => repeated.push((*item, *first.get())),
                Entry::Vacant(vacant) => drop(vacant.insert(*item)),
            }
        }
    }
    repeated.sort_unstable();
    repeated
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn in_order<'a>(words: &[&'a str], seed: u64) -> Vec<&'a str> {
        let order = shuffled(0..words.len() as u32, seed, |item| {
            words[item as usize].to_owned()
        });
        order.iter().map(|item| words[*item as usize]).collect()
    }

    #[test]
    fn the_order_is_that_of_the_keys_and_the_seed_whatever_it_was_before() {
        let order = in_order(&["a", "b", "c", "d", "e", "f"], 3);
        assert_eq!(order, in_order(&["f", "e", "d", "c", "b", "a"], 3));
        assert_ne!(order, in_order(&["a", "b", "c", "d", "e", "f"], 4));
    }

    #[test]
    fn a_draw_takes_its_part_of_each_class_and_leaves_one() {
        let words: Vec<String> = (0..48).map(|number| format!("{number:02}")).collect();
        let key = |item: u32| words[item as usize].clone();
        let class = |item: u32| usize::from(item >= 40) + usize::from(item >= 47);
        let drawn = draw_val(0..48, 7, key, class, 0.25);
        let of_class = |wanted| {
            drawn
                .ones()
                .filter(move |item| class(*item as u32) == wanted)
        };
        let counts = [0, 1, 2].map(|wanted| of_class(wanted).count());
        assert_eq!(counts, [10, 2, 0]);
    }

    #[test]
    fn what_is_drawn_does_not_depend_on_other_classes() {
        let drawn = |words: &[&'static str]| {
            let word = |item: u32| words[item as usize];
            let class = |item| usize::from(word(item).as_bytes()[0]);
            let key = |item| word(item).to_owned();
            let drawn = draw(0..words.len() as u32, 5, key, class, |_| 2);
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

    proptest! {
        #[test]
        fn every_key_that_comes_again_is_found_with_the_first_of_its_kind(keys in prop::collection::vec("[ab]{1,2}", 0..12)) {
            // A hash of the first letter alone: several keys have it.
            let hashed = keys.iter().enumerate().map(|(item, key)| (u64::from(key.as_bytes()[0]), item));
            let found = repeated(hashed.collect(), |item| &keys[item]);
            let first_of = |item: usize| keys.iter().position(|key| *key == keys[item]).expect("itself");
            let expected: Vec<(usize, usize)> = (0..keys.len())
                .map(|item| (item, first_of(item)))
                .filter(|(item, first)| item != first)
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
