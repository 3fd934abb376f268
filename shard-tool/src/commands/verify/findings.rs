//! What is looked at, and what is found: by one task, and by all of them.

use std::collections::BTreeMap;

use super::defect::Defect;
use crate::report::statistics::Statistics;

/// What to look at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Depth {
    /// Decode every image.
    pub(super) decode: bool,
    pub(super) num_classes: usize,
}

/// What a tar is, whatever the manifest says.
#[derive(Debug, Clone, Copy)]
pub(super) struct TarFacts {
    pub(super) num_bytes: u64,
    pub(super) digest: u64,
    /// Whether it is what the manifest says.
    pub(super) as_stated: bool,
}

/// What one task has found, or all of them.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) defects: Vec<Defect>,
    pub(super) notes: Vec<String>,
    /// By name of the split.
    pub(super) statistics: BTreeMap<String, Statistics>,
    pub(super) oddities: BTreeMap<&'static str, u64>,
    pub(super) num_samples: u64,
    pub(super) num_bytes: u64,
    /// What the tars are, by number of the shard.
    pub(super) tars: BTreeMap<u32, TarFacts>,
}

impl Findings {
    pub(super) fn count_oddity(&mut self, name: &'static str) {
        *self.oddities.entry(name).or_default() += 1;
    }

    /// Takes over what another task has found.
    pub(super) fn merge(&mut self, other: Self) {
        self.defects.extend(other.defects);
        self.notes.extend(other.notes);
        for (split, statistics) in other.statistics {
            self.statistics.entry(split).or_default().merge(statistics);
        }
        for (name, count) in other.oddities {
            *self.oddities.entry(name).or_default() += count;
        }
        self.num_samples += other.num_samples;
        self.num_bytes += other.num_bytes;
        self.tars.extend(other.tars);
    }
}
