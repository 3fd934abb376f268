//! Names that differ in their Unicode form alone: composed (NFC) as most systems write them, decomposed (NFD) as macOS did. They
//! look the same, and are two classes or two images.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization;
use xxhash_rust::xxh3::xxh3_64;

use super::by_hash;
use super::catalogue::Catalogue;
use crate::report::counts::counted;
use crate::report::output::tell;

/// Warns of such classes, and of such images of one class.
pub(super) fn warn(catalogue: &Catalogue) {
    let groups = catalogue.groups();
    let class = |number: u32| groups[number as usize].class.clone().unwrap_or_default();
    tell_same_looking("class", 0..groups.len() as u32, class);
    let key = |number: u32| catalogue.key(number);
    tell_same_looking("image", 0..catalogue.len() as u32, key);
}

fn tell_same_looking(what: &str, items: impl Iterator<Item = u32>, name: impl Fn(u32) -> String) {
    let composed = |item: u32| {
        let name = name(item);
        // The class of an image is told as one.
        let (class, own) = name.split_once('/').unwrap_or(("", &name));
        let composed = || class.chars().chain(own.nfc()).collect::<String>();
        (!own.is_ascii()).then(|| (xxh3_64(composed().as_bytes()), item))
    };
    let mut hashed: Vec<(u64, u32)> = items.filter_map(composed).collect();
    let same = by_hash::several(&mut hashed);
    let names = same.map(|same| same.iter().map(|(_, item)| name(*item)).collect());
    let same_looking = names.filter(|names: &BTreeSet<String>| names.len() > 1);
    let same_looking: Vec<BTreeSet<String>> = same_looking.collect();
    let Some(first) = same_looking.first().and_then(BTreeSet::first) else {
        return;
    };
    let number: usize = same_looking.iter().map(|names| names.len() - 1).sum();
    tell!(
        "warning: {} with a name that looks like another's and differs in its Unicode form alone (NFC, NFD), such as {first}; \
         rename one of the two if they are the same",
        counted(number as u64, what)
    );
}
