//! Which candidates are wanted: those that a file names (`--subset`), or so many of each class (`--per-class`). Only the
//! training split is cut; validation stays whole.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use fixedbitset::FixedBitSet;
use shard_format::name;

use super::catalogue::{Candidate, Catalogue};
use super::lines::{Wanted, base_name, wanted};
use super::splits::TRAIN;
use super::{by_hash, image_folder};
use crate::commands::pack::options::PackOptions;
use crate::error::ToolError;
use crate::report::counts::counted;

/// How many unknown names a message lists.
const NUM_NAMED: usize = 5;
/// Distinguishes this draw from those of the order and of the validation part.
const SUBSET_SEED: u64 = 0x5eed_0f50_b5e7_0000;

/// The wanted candidates.
///
/// # Errors
/// If the subset file cannot be read, or names what is not there.
pub(super) fn select(
    catalogue: &Catalogue,
    options: &PackOptions,
) -> Result<FixedBitSet, ToolError> {
    let mut train = FixedBitSet::with_capacity(catalogue.len());
    for candidate in catalogue.candidates() {
        let is_train = candidate.group.split == TRAIN;
        train.set(candidate.number as usize, is_train);
    }
    let mut selected = train.clone();
    selected.toggle_range(..);
    if let Some(file) = &options.subset {
        train = named(catalogue, &train, file)?;
    }
    if let Some(quota) = options.per_class {
        let (countable, classes) = catalogue.countable(&train);
        train = by_hash::draw(
            countable.into_iter(),
            options.seed ^ SUBSET_SEED,
            |number| catalogue.key(number),
            |number| classes[catalogue.candidate(number).group_number],
            |_| quota.into(),
        );
    }
    selected.union_with(&train);
    Ok(selected)
}

/// The candidates that the lines of `file` name.
fn named(
    catalogue: &Catalogue,
    train: &FixedBitSet,
    file: &Path,
) -> Result<FixedBitSet, ToolError> {
    let text = fs::read_to_string(file).map_err(ToolError::read(file))?;
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        let what = "the subset names no image";
        let remedy = "write an index or a file name on each line";
        return Err(ToolError::data(what, file.display(), remedy));
    }
    let train = || {
        train
            .ones()
            .map(|number| catalogue.candidate(number as u32))
    };
    let mut found = vec![None; lines.len()];
    find_names(&lines, train(), &mut found);
    find_indices(&lines, train(), &mut found);
    let unknown = lines
        .iter()
        .zip(&found)
        .filter(|(_, found)| found.is_none());
    let unknown: Vec<&str> = unknown.map(|(line, _)| *line).collect();
    if !unknown.is_empty() {
        let first = unknown[..unknown.len().min(NUM_NAMED)].join(", ");
        let more = if unknown.len() > NUM_NAMED {
            ", ..."
        } else {
            ""
        };
        return Err(ToolError::data(
            format_args!(
                "{} of the subset are not in the training split, or in several classes: {first}{more}",
                counted(unknown.len() as u64, "line")
            ),
            file.display(),
            "check that it belongs to this source",
        ));
    }
    let found = found.into_iter().flatten();
    Ok(found.map(|number| number as usize).collect())
}

/// Finds the only candidate of each name; a name may start with its class.
fn find_names<'a>(
    lines: &[&str],
    train: impl Iterator<Item = Candidate<'a>>,
    found: &mut [Option<u32>],
) {
    let mut by_name: HashMap<&[u8], Vec<(usize, Option<&str>)>> = HashMap::new();
    for (at, line) in lines.iter().enumerate() {
        if let Wanted::Name(name) = wanted(line) {
            let class = name.rsplit('/').nth(1);
            let line = by_name.entry(base_name(name.as_bytes())).or_default();
            line.push((at, class));
        }
    }
    let mut num_found = vec![0u32; lines.len()];
    for candidate in train.filter(|_| !by_name.is_empty()) {
        let class = candidate.group.class.as_deref();
        let named = by_name.get(base_name(candidate.name)).into_iter().flatten();
        for (at, _) in named.filter(|(_, wanted)| wanted.is_none() || *wanted == class) {
            num_found[*at] += 1;
            found[*at] = (num_found[*at] == 1).then_some(candidate.number);
        }
    }
}

/// Finds what an index stands for: it counts through the images as [`image_folder`] numbers them.
fn find_indices<'a>(
    lines: &[&str],
    train: impl Iterator<Item = Candidate<'a>>,
    found: &mut [Option<u32>],
) {
    if !lines
        .iter()
        .any(|line| matches!(wanted(line), Wanted::Index(_)))
    {
        return;
    }
    let is_image = |candidate: &Candidate<'_>| image_folder::place(candidate.name).is_some();
    let mut images: Vec<Candidate<'_>> = train.filter(is_image).collect();
    images.sort_by_cached_key(|image| {
        let class = image.group.class.as_deref();
        class.map(name::unescape).unwrap_or_default()
    });
    let same_class =
        |left: &Candidate<'_>, right: &Candidate<'_>| left.group.class == right.group.class;
    for of_class in images.chunk_by_mut(same_class) {
        of_class.sort_unstable_by_key(|image| image_folder::place(image.name));
    }
    for (line, found) in lines.iter().zip(found) {
        if let Wanted::Index(index) = wanted(line) {
            *found = images.get(index).map(|image| image.number);
        }
    }
}
