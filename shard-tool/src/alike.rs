//! Items by a hash of theirs, and so those that agree in something, among any number of them in bounded memory: they are looked
//! through as often as it takes to sort a part of all hashes at a time.

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_64;

use crate::error::ToolError;

/// Hashes that are sorted at once, about: 32 MB of them.
const RUN: u64 = 2_000_000;

/// A hash, and whose it is.
pub(crate) type Hashed<I> = (u64, I);

/// Calls `visit` with parts of what `scan` offers, each sorted by hash, in order of hash: everything that has one hash is in one
/// part. `scan` is called as often as there are parts; `num_items` is about how many it offers.
pub(crate) fn in_hash_order<I: Copy + Ord>(
    num_items: u64,
    scan: impl Fn(&mut dyn FnMut(u64, I)) -> Result<(), ToolError>,
    visit: impl FnMut(&[Hashed<I>]) -> Result<(), ToolError>,
) -> Result<(), ToolError> {
    in_runs(num_items.div_ceil(RUN).max(1), scan, visit)
}

fn in_runs<I: Copy + Ord>(
    num_runs: u64,
    scan: impl Fn(&mut dyn FnMut(u64, I)) -> Result<(), ToolError>,
    mut visit: impl FnMut(&[Hashed<I>]) -> Result<(), ToolError>,
) -> Result<(), ToolError> {
    let run_of = |hash: u64| ((u128::from(hash) * u128::from(num_runs)) >> 64) as u64;
    let mut run = Vec::new();
    for number in 0..num_runs {
        run.clear();
        scan(&mut |hash, item| {
            if run_of(hash) == number {
                run.push((hash, item));
            }
        })?;
        run.sort_unstable();
        visit(&run)?;
    }
    Ok(())
}

/// The items of each hash, where they are in order of hash.
pub(crate) fn same_hash<I>(run: &[Hashed<I>]) -> impl Iterator<Item = &[Hashed<I>]> {
    run.chunk_by(|left, right| left.0 == right.0)
}

/// The items whose hash others have too, where they are in order of hash.
pub(crate) fn several<I>(run: &[Hashed<I>]) -> impl Iterator<Item = &[Hashed<I>]> {
    same_hash(run).filter(|same| same.len() > 1)
}

/// Calls `visit` with every item whose key an item before it has, and with the first that has it. `scan` offers the keys of all
/// items.
pub(crate) fn repeated_keys<I: Copy + Ord, K: AsRef<str>>(
    num_items: u64,
    scan: impl Fn(&mut dyn FnMut(&str, I)) -> Result<(), ToolError>,
    key_of: impl Fn(I) -> Result<K, ToolError>,
    mut visit: impl FnMut(I, I) -> Result<(), ToolError>,
) -> Result<(), ToolError> {
    let hashes =
        |offer: &mut dyn FnMut(u64, I)| scan(&mut |key, item| offer(xxh3_64(key.as_bytes()), item));
    in_hash_order(num_items, hashes, |run| {
        several(run).try_for_each(|same| {
            let mut firsts: HashMap<String, I> = HashMap::new();
            same.iter().try_for_each(|(_, item)| {
                let key = key_of(*item)?;
                match firsts.get(key.as_ref()) {
                    Some(first) => visit(*item, *first),
                    None => {
                        firsts.insert(key.as_ref().to_owned(), *item);
                        Ok(())
                    }
                }
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sorting_in_parts_is_sorting(hashes in prop::collection::vec(any::<u64>(), 0..200), num_runs in 1u64..9) {
            let mut sorted = Vec::new();
            let scan = |offer: &mut dyn FnMut(u64, u32)| {
                (0..).zip(&hashes).for_each(|(item, hash)| offer(*hash, item));
                Ok(())
            };
            let outcome = in_runs(num_runs, scan, |run| {
                sorted.extend_from_slice(run);
                Ok(())
            });
            prop_assert!(outcome.is_ok());
            let mut expected: Vec<Hashed<u32>> = hashes.iter().copied().zip(0..).collect();
            expected.sort_unstable();
            prop_assert_eq!(sorted, expected);
        }

        #[test]
        fn every_key_that_comes_again_is_found_with_the_first_of_its_kind(keys in prop::collection::vec("[ab]{1,2}", 0..12)) {
            let mut found = Vec::new();
            let scan = |offer: &mut dyn FnMut(&str, usize)| {
                keys.iter().enumerate().for_each(|(item, key)| offer(key, item));
                Ok(())
            };
            let outcome = repeated_keys(keys.len() as u64, scan, |item| Ok(&keys[item]), |item, first| {
                found.push((item, first));
                Ok(())
            });
            prop_assert!(outcome.is_ok());
            found.sort_unstable();
            let first_of = |item: usize| keys.iter().position(|key| *key == keys[item]).expect("itself");
            let expected: Vec<(usize, usize)> = (0..keys.len())
                .map(|item| (item, first_of(item)))
                .filter(|(item, first)| item != first)
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
