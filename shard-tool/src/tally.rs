//! Counts and sizes of many images.

use std::collections::BTreeMap;

use serde::Serialize;
use shard_format::ImageHeader;

use crate::report::thousands;

/// What is known of the images of a split, or of a part of it.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) num_images: u64,
    pub(crate) num_unlabelled: u64,
    pub(crate) num_bytes: u64,
    pub(crate) kinds: BTreeMap<&'static str, u64>,
    pub(crate) colours: BTreeMap<&'static str, u64>,
    /// Images by label.
    pub(crate) labels: BTreeMap<u32, u64>,
    widths: Vec<u32>,
    heights: Vec<u32>,
    sizes: Vec<u32>,
}

/// Smallest, middle and largest value.
#[derive(Debug, Clone, Copy, Serialize, PartialEq, Eq)]
pub(crate) struct Spread {
    pub(crate) min: u32,
    pub(crate) median: u32,
    pub(crate) max: u32,
}

/// The spreads of a tally.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Spreads {
    pub(crate) width: Option<Spread>,
    pub(crate) height: Option<Spread>,
    pub(crate) bytes: Option<Spread>,
}

impl Tally {
    /// One more image of `num_bytes` bytes.
    pub(crate) fn add(&mut self, header: &ImageHeader, label: Option<u32>, num_bytes: u32) {
        self.num_images += 1;
        self.num_bytes += u64::from(num_bytes);
        match label {
            Some(label) => *self.labels.entry(label).or_default() += 1,
            None => self.num_unlabelled += 1,
        }
        *self.kinds.entry(header.kind.name()).or_default() += 1;
        *self.colours.entry(header.colour.name()).or_default() += 1;
        self.widths.push(header.width);
        self.heights.push(header.height);
        self.sizes.push(num_bytes);
    }

    /// Takes over what another part has counted.
    pub(crate) fn merge(&mut self, other: Self) {
        self.num_images += other.num_images;
        self.num_unlabelled += other.num_unlabelled;
        self.num_bytes += other.num_bytes;
        add_counts(&mut self.kinds, other.kinds);
        add_counts(&mut self.colours, other.colours);
        add_counts(&mut self.labels, other.labels);
        self.widths.extend(other.widths);
        self.heights.extend(other.heights);
        self.sizes.extend(other.sizes);
    }

    /// Smallest, middle and largest width, height and size.
    pub(crate) fn spreads(&mut self) -> Spreads {
        Spreads {
            width: spread(&mut self.widths),
            height: spread(&mut self.heights),
            bytes: spread(&mut self.sizes),
        }
    }
}

impl Spreads {
    /// Three lines: width, height, bytes.
    pub(crate) fn to_text(self) -> String {
        let line = |name: &str, spread: Option<Spread>| match spread {
            Some(Spread { min, median, max }) => {
                let [min, median, max] = [min, median, max].map(|value| thousands(value.into()));
                format!("  {name:<9}min {min}, median {median}, max {max}\n")
            }
            None => String::new(),
        };
        [
            line("width", self.width),
            line("height", self.height),
            line("bytes", self.bytes),
        ]
        .concat()
    }
}

/// `3 grey, 1,200 ycbcr`.
pub(crate) fn counts_text(counts: &BTreeMap<&'static str, u64>) -> String {
    let part = |(name, count): (&&str, &u64)| format!("{} {name}", thousands(*count));
    counts.iter().map(part).collect::<Vec<_>>().join(", ")
}

fn add_counts<K: Ord>(counts: &mut BTreeMap<K, u64>, more: BTreeMap<K, u64>) {
    for (name, count) in more {
        *counts.entry(name).or_default() += count;
    }
}

fn spread(values: &mut [u32]) -> Option<Spread> {
    values.sort_unstable();
    Some(Spread {
        min: *values.first()?,
        median: values[values.len() / 2],
        max: *values.last()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_that_of_the_sorted_values() {
        let (min, median, max) = (1, 5, 9);
        assert_eq!(spread(&mut [9, 1, 5]), Some(Spread { min, median, max }));
        assert_eq!(spread(&mut []), None);
    }
}
