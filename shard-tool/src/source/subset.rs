//! Which candidates are wanted: those that a file names (`--subset`), or so many of each class (`--per-class`). Only the
//! training split is cut; validation stays whole.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use super::lines::{Wanted, base_name, wanted};
use super::{Catalogue, TRAIN, image_folder};
use crate::cli::PackOptions;
use crate::error::ToolError;
use crate::order::sort_by_hash;

/// How many unknown names a message lists.
const NUM_NAMED: usize = 5;
/// Distinguishes this draw from those of the order and of the validation part.
const SUBSET_SEED: u64 = 0x5eed_0f50_b5e7_0000;

/// The numbers of the wanted candidates, ascending.
///
/// # Errors
/// If the subset file cannot be read, or names what is not there.
pub(super) fn select(catalogue: &Catalogue, options: &PackOptions) -> Result<Vec<u32>, ToolError> {
    let (train, mut selected): (Vec<u32>, Vec<u32>) =
        (0..catalogue.len() as u32).partition(|entry| catalogue.group(*entry).split == TRAIN);
    let train = match &options.subset {
        Some(file) => named(catalogue, &train, file)?,
        None => train,
    };
    selected.extend(match options.per_class {
        Some(number) => drawn(catalogue, train, number as usize, options.seed),
        None => train,
    });
    selected.sort_unstable();
    selected.dedup();
    Ok(selected)
}

/// The candidates that the lines of `file` name.
fn named(catalogue: &Catalogue, train: &[u32], file: &Path) -> Result<Vec<u32>, ToolError> {
    let text = fs::read_to_string(file).map_err(ToolError::read(file))?;
    let place = |entry: u32| {
        let class = catalogue.group(entry).class.as_deref();
        image_folder::place(class, catalogue.name(entry))
    };
    let mut in_order: Vec<u32> = train.to_vec();
    in_order.retain(|entry| place(*entry).is_some());
    in_order.sort_by_cached_key(|entry| place(*entry));
    let names = Names::new(catalogue, train);
    let find = |line: &str| match wanted(line) {
        Wanted::Index(index) => in_order.get(index).copied(),
        Wanted::Name(name) => names.find(name),
    };
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let unknown: Vec<&str> = lines().filter(|line| find(line).is_none()).collect();
    if !unknown.is_empty() {
        return Err(ToolError::UnknownInSubset {
            path: file.to_owned(),
            num_unknown: unknown.len(),
            first: unknown[..unknown.len().min(NUM_NAMED)].join(", "),
        });
    }
    Ok(lines().filter_map(find).collect())
}

/// Candidates by file name, and by class and file name where several classes have a file of that name.
struct Names<'a> {
    by_name: HashMap<&'a [u8], Vec<u32>>,
    catalogue: &'a Catalogue,
}

impl<'a> Names<'a> {
    fn new(catalogue: &'a Catalogue, train: &[u32]) -> Self {
        let mut by_name: HashMap<&[u8], Vec<u32>> = HashMap::with_capacity(train.len());
        for entry in train {
            by_name
                .entry(base_name(catalogue.name(*entry)))
                .or_default()
                .push(*entry);
        }
        Self { by_name, catalogue }
    }

    /// The only candidate of this name, which may start with its class.
    fn find(&self, name: &str) -> Option<u32> {
        let (class, name) = match name.rsplit_once('/') {
            Some((class, name)) => (Some(class), name),
            None => (None, name),
        };
        let class = class.and_then(|class| class.rsplit('/').next());
        let is_meant = |entry: &&u32| match class {
            Some(class) => self.catalogue.group(**entry).class.as_deref() == Some(class),
            None => true,
        };
        let mut found = self.by_name.get(name.as_bytes())?.iter().filter(is_meant);
        found.next().copied().filter(|_| found.next().is_none())
    }
}

/// `number` candidates of each class, drawn by seed; all of a smaller class.
fn drawn(catalogue: &Catalogue, train: Vec<u32>, number: usize, seed: u64) -> Vec<u32> {
    let mut by_class: BTreeMap<Option<&str>, Vec<u32>> = BTreeMap::new();
    for entry in train {
        by_class
            .entry(catalogue.group(entry).class.as_deref())
            .or_default()
            .push(entry);
    }
    let draw = |mut entries: Vec<u32>| {
        sort_by_hash(&mut entries, seed ^ SUBSET_SEED, |entry| {
            catalogue.key(*entry)
        });
        entries.truncate(number);
        entries
    };
    by_class.into_values().flat_map(draw).collect()
}
