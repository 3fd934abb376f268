//! Counts and sizes of many images, in memory that does not grow with their number.
//!
//! Values are counted, so that there are as many counters as different values. Sides are exact. Sizes of files are counted in steps
//! of 1/4096 of their own size: their smallest and largest value are exact, the median is so up to 0.03 %.

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
    widths: Counts,
    heights: Counts,
    sizes: Counts,
    /// Smallest and largest size.
    size_range: Option<(u32, u32)>,
}

/// How many images have each value.
type Counts = BTreeMap<u32, u64>;

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
            Some(label) => count(&mut self.labels, label, 1),
            None => self.num_unlabelled += 1,
        }
        count(&mut self.kinds, header.kind.name(), 1);
        count(&mut self.colours, header.colour.name(), 1);
        count(&mut self.widths, header.width, 1);
        count(&mut self.heights, header.height, 1);
        count(&mut self.sizes, in_steps(num_bytes), 1);
        self.widen(num_bytes, num_bytes);
    }

    /// Takes over what another part has counted.
    pub(crate) fn merge(&mut self, other: Self) {
        self.num_images += other.num_images;
        self.num_unlabelled += other.num_unlabelled;
        self.num_bytes += other.num_bytes;
        add_counts(&mut self.kinds, other.kinds);
        add_counts(&mut self.colours, other.colours);
        add_counts(&mut self.labels, other.labels);
        add_counts(&mut self.widths, other.widths);
        add_counts(&mut self.heights, other.heights);
        add_counts(&mut self.sizes, other.sizes);
        if let Some((min, max)) = other.size_range {
            self.widen(min, max);
        }
    }

    /// Smallest, middle and largest width, height and size.
    pub(crate) fn spreads(&self) -> Spreads {
        let of_sizes = |(min, max): (u32, u32)| {
            let median = spread(&self.sizes)?.median.clamp(min, max);
            Some(Spread { min, median, max })
        };
        Spreads {
            width: spread(&self.widths),
            height: spread(&self.heights),
            bytes: self.size_range.and_then(of_sizes),
        }
    }

    fn widen(&mut self, min: u32, max: u32) {
        let (known_min, known_max) = self.size_range.unwrap_or((min, max));
        self.size_range = Some((known_min.min(min), known_max.max(max)));
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

fn count<K: Ord>(counts: &mut BTreeMap<K, u64>, value: K, more: u64) {
    *counts.entry(value).or_default() += more;
}

fn add_counts<K: Ord>(counts: &mut BTreeMap<K, u64>, more: BTreeMap<K, u64>) {
    for (value, more) in more {
        count(counts, value, more);
    }
}

/// The size without all but its first thirteen binary digits.
fn in_steps(num_bytes: u32) -> u32 {
    let num_dropped = (u32::BITS - num_bytes.leading_zeros()).saturating_sub(13);
    num_bytes >> num_dropped << num_dropped
}

fn spread(counts: &Counts) -> Option<Spread> {
    let (mut num_before, middle) = (0, counts.values().sum::<u64>() / 2);
    let mut is_median = |(_, count): &(&u32, &u64)| {
        num_before += **count;
        num_before > middle
    };
    Some(Spread {
        min: *counts.first_key_value()?.0,
        median: *counts.iter().find(&mut is_median)?.0,
        max: *counts.last_key_value()?.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use shard_format::{ColourModel, ImageKind};

    fn tally(sides_and_sizes: &[(u32, u32)]) -> Tally {
        let mut tally = Tally::default();
        for (side, num_bytes) in sides_and_sizes {
            let header = ImageHeader {
                kind: ImageKind::Png,
                colour: ColourModel::Grey,
                bits: 8,
                width: *side,
                height: 7,
            };
            tally.add(&header, None, *num_bytes);
        }
        tally
    }

    #[test]
    fn a_spread_is_that_of_the_sorted_values() {
        let spreads = tally(&[(9, 1), (1, 1), (5, 1), (5, 1), (6, 1)]).spreads();
        let (min, median, max) = (1, 5, 9);
        assert_eq!(spreads.width, Some(Spread { min, median, max }));
        let even = tally(&[(1, 1), (2, 1), (3, 1), (4, 1)]).spreads();
        assert_eq!(even.width.map(|width| width.median), Some(3));
        assert_eq!(Tally::default().spreads().bytes, None);
    }

    #[test]
    fn sizes_are_exact_at_the_ends_and_nearly_so_in_the_middle() {
        let spread = tally(&[(1, 1_000_003), (1, 3_000_001), (1, 70_000_007)]).spreads();
        let Spread { min, median, max } = spread.bytes.expect("a spread");
        assert_eq!((min, max), (1_000_003, 70_000_007));
        assert!(
            median <= 3_000_001 && median > 3_000_001 - 1_000,
            "{median}"
        );
        let same = tally(&[(1, 99_999); 3]).spreads().bytes.expect("a spread");
        assert_eq!((same.min, same.median, same.max), (99_999, 99_999, 99_999));
    }

    #[test]
    fn parts_together_give_what_the_whole_gives() {
        let values: Vec<(u32, u32)> = (0..500).map(|n| (n * 7 % 97 + 1, n * 7_919)).collect();
        let mut parts = tally(&values[..200]);
        parts.merge(tally(&values[200..]));
        let whole = tally(&values);
        assert_eq!(parts.spreads().width, whole.spreads().width);
        assert_eq!(parts.spreads().bytes, whole.spreads().bytes);
        assert_eq!(parts.num_bytes, whole.num_bytes);
    }
}
