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

/// What one task has found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) defects: Vec<Defect>,
    pub(super) notes: Vec<String>,
    pub(super) statistics: Statistics,
    pub(super) oddities: BTreeMap<&'static str, u64>,
    pub(super) num_samples: u64,
    pub(super) num_bytes: u64,
    pub(super) tar: Option<TarFacts>,
}

/// What all tasks have found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) defects: Vec<Defect>,
    pub(super) notes: Vec<String>,
    /// By name of the split.
    pub(super) statistics: BTreeMap<String, Statistics>,
    pub(super) oddities: BTreeMap<&'static str, u64>,
    pub(super) num_bytes: u64,
    /// For each shard, what its tar is.
    pub(super) tars: Vec<Option<TarFacts>>,
}

impl Found {
    pub(super) fn count_oddity(&mut self, name: &'static str) {
        *self.oddities.entry(name).or_default() += 1;
    }
}

impl Findings {
    pub(super) fn take(&mut self, shard: usize, split: &str, found: Found) {
        self.defects.extend(found.defects);
        self.notes.extend(found.notes);
        let of_split = self.statistics.entry(split.to_owned()).or_default();
        of_split.merge(found.statistics);
        for (name, count) in found.oddities {
            *self.oddities.entry(name).or_default() += count;
        }
        if found.tar.is_some() {
            self.tars[shard] = found.tar;
        }
    }
}
