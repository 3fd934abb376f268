//! Counts and sizes of many images, in memory that does not grow with their number.
//!
//! Values are counted, so that there are as many counters as different values. Sides are exact. Sizes of files are counted in steps
//! of 1/4096 of their own size: their smallest and largest value are exact, the median is so up to 0.03 %.

use std::collections::BTreeMap;

use serde::Serialize;
use shard_format::ImageHeader;

use super::counts::{counted, list, thousands};

/// What is known of the images of a split, or of a part of it.
#[derive(Debug, Default)]
pub(crate) struct Statistics {
    pub(crate) num_images: u64,
    pub(crate) num_unlabelled: u64,
    pub(crate) num_bytes: u64,
    pub(crate) kinds: Counts<&'static str>,
    pub(crate) colours: Counts<&'static str>,
    /// Images by label.
    pub(crate) labels: Counts<u32>,
    widths: Counts<u32>,
    heights: Counts<u32>,
    sizes: Counts<u32>,
    /// Smallest and largest size.
    size_range: Option<(u32, u32)>,
}

/// How many images have each value.
type Counts<K> = BTreeMap<K, u64>;

/// Smallest, middle and largest value.
#[derive(Debug, Clone, Copy, Serialize, PartialEq, Eq)]
pub(crate) struct Spread {
    pub(crate) min: u32,
    pub(crate) median: u32,
    pub(crate) max: u32,
}

/// What is told of them.
#[derive(Debug, Serialize)]
pub(crate) struct Told {
    pub(crate) num_images: u64,
    kinds: Counts<&'static str>,
    colours: Counts<&'static str>,
    width: Option<Spread>,
    height: Option<Spread>,
    bytes: Option<Spread>,
}

impl Statistics {
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

    pub(crate) fn told(&self) -> Told {
        let of_sizes = |(min, max): (u32, u32)| {
            let median = spread(&self.sizes)?.median.clamp(min, max);
            Some(Spread { min, median, max })
        };
        Told {
            num_images: self.num_images,
            kinds: self.kinds.clone(),
            colours: self.colours.clone(),
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

impl Told {
    /// Five lines: kinds, colours, width, height, bytes.
    pub(crate) fn to_text(&self) -> String {
        let counts = |counts: &Counts<&'static str>| list(counts.iter().map(|(n, c)| (*n, *c)));
        let spread = |name: &str, spread: Option<Spread>| match spread {
            Some(Spread { min, median, max }) => {
                let [min, median, max] = [min, median, max].map(|value| thousands(value.into()));
                format!("  {name:<9}min {min}, median {median}, max {max}\n")
            }
            None => String::new(),
        };
        let (kinds, colours) = (counts(&self.kinds), counts(&self.colours));
        [
            format!("  {:<9}{kinds}\n  {:<9}{colours}\n", "kinds", "colours"),
            spread("width", self.width),
            spread("height", self.height),
            spread("bytes", self.bytes),
        ]
        .concat()
    }

    /// `1,200 images`.
    pub(crate) fn images(&self) -> String {
        counted(self.num_images, "image")
    }
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

fn spread(counts: &Counts<u32>) -> Option<Spread> {
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

    fn statistics(sides_and_sizes: &[(u32, u32)]) -> Statistics {
        let mut statistics = Statistics::default();
        for (side, num_bytes) in sides_and_sizes {
            let header = ImageHeader {
                kind: ImageKind::Png,
                colour: ColourModel::Grey,
                bits: 8,
                width: *side,
                height: 7,
            };
            statistics.add(&header, None, *num_bytes);
        }
        statistics
    }

    #[test]
    fn a_spread_is_that_of_the_sorted_values() {
        let told = statistics(&[(9, 1), (1, 1), (5, 1), (5, 1), (6, 1)]).told();
        let (min, median, max) = (1, 5, 9);
        assert_eq!(told.width, Some(Spread { min, median, max }));
        let even = statistics(&[(1, 1), (2, 1), (3, 1), (4, 1)]).told();
        assert_eq!(even.width.map(|width| width.median), Some(3));
        assert_eq!(Statistics::default().told().bytes, None);
    }

    #[test]
    fn sizes_are_exact_at_the_ends_and_nearly_so_in_the_middle() {
        let spread = statistics(&[(1, 1_000_003), (1, 3_000_001), (1, 70_000_007)]).told();
        let Spread { min, median, max } = spread.bytes.expect("a spread");
        assert_eq!((min, max), (1_000_003, 70_000_007));
        assert!(
            median <= 3_000_001 && median > 3_000_001 - 1_000,
            "{median}"
        );
        let same = statistics(&[(1, 99_999); 3])
            .told()
            .bytes
            .expect("a spread");
        assert_eq!((same.min, same.median, same.max), (99_999, 99_999, 99_999));
    }

    #[test]
    fn parts_together_give_what_the_whole_gives() {
        let values: Vec<(u32, u32)> = (0..500).map(|n| (n * 7 % 97 + 1, n * 7_919)).collect();
        let mut parts = statistics(&values[..200]);
        parts.merge(statistics(&values[200..]));
        let whole = statistics(&values);
        assert_eq!(parts.told().width, whole.told().width);
        assert_eq!(parts.told().bytes, whole.told().bytes);
        assert_eq!(parts.num_bytes, whole.num_bytes);
    }
}
