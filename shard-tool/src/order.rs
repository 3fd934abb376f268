//! The order of samples, and which of them become validation: by a seeded hash of their keys, and by nothing else. Pure.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Distinguishes the draw of the validation part from that of the order.
const VAL_SEED: u64 = 0x5eed_0f7a_11da_7e00;

/// Sorts by a seeded hash of the keys, and by the keys where hashes are equal.
pub(crate) fn sort_by_hash<T: Copy, K: AsRef<str> + Ord>(
    items: &mut [T],
    seed: u64,
    key_of: impl Fn(&T) -> K,
) {
    let hash = |item: &T| xxh3_64_with_seed(key_of(item).as_ref().as_bytes(), seed);
    let mut hashed: Vec<(u64, T)> = items.iter().map(|item| (hash(item), *item)).collect();
    hashed.sort_unstable_by(|(hash_a, a), (hash_b, b)| {
        let by_key = || key_of(a).cmp(&key_of(b));
        hash_a.cmp(hash_b).then_with(by_key)
    });
    for (place, (_, item)) in items.iter_mut().zip(hashed) {
        *place = item;
    }
}

/// Divides the samples of one class into train and val: `fraction` of them, rounded, become val; at least one stays in train.
pub(crate) fn divide<T: Copy, K: AsRef<str> + Ord>(
    mut items: Vec<T>,
    seed: u64,
    fraction: f64,
    key_of: impl Fn(&T) -> K,
) -> (Vec<T>, Vec<T>) {
    sort_by_hash(&mut items, seed ^ VAL_SEED, key_of);
    let wanted = (items.len() as f64 * fraction).round() as usize;
    let num_val = wanted.min(items.len().saturating_sub(1));
    let train = items.split_off(num_val);
    (train, items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_the_keys_and_the_seed_whatever_it_was_before() {
        let mut keys = ["a", "b", "c", "d", "e", "f"];
        let mut backwards = ["f", "e", "d", "c", "b", "a"];
        sort_by_hash(&mut keys, 3, |key| *key);
        sort_by_hash(&mut backwards, 3, |key| *key);
        assert_eq!(keys, backwards);
        sort_by_hash(&mut backwards, 4, |key| *key);
        assert_ne!(keys, backwards);
    }

    #[test]
    fn a_part_is_rounded_and_never_all() {
        let sizes = |fraction| {
            let (train, val) = divide(vec!["a", "b", "c", "d", "e"], 1, fraction, |key| *key);
            (train.len(), val.len())
        };
        assert_eq!(sizes(0.3), (3, 2));
        assert_eq!(sizes(0.05), (5, 0));
        assert_eq!(sizes(0.99), (1, 4));
    }
}
