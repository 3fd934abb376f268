//! What of an earlier packing of the same plan still holds.

use std::ops::Range;
use std::path::Path;

use shard_format::Manifest;
use xxhash_rust::xxh3::Xxh3;

use super::journal::Milestone;
use super::plan::{Plan, PlannedSplit};
use crate::source::catalogue::Catalogue;
use crate::source::location::Stamp;

/// The milestones that still hold: in the order of the plan, with their shard on disk and their sources unchanged.
pub(super) fn adoptable(
    mut milestones: Vec<Milestone>,
    out: &Path,
    plan: &Plan,
    catalogue: &Catalogue,
) -> Vec<Milestone> {
    let mut starts = vec![0; plan.splits.len()];
    let mut num_holding = 0;
    for milestone in &milestones {
        let name = &milestone.finished.split;
        let Some(at) = plan.splits.iter().position(|split| split.name == name) else {
            break;
        };
        let range = starts[at]..milestone.position;
        starts[at] = milestone.position;
        let is_same = stamps(catalogue, &plan.splits[at], range) == Some(milestone.stamps);
        if !is_same || !milestone.finished.is_in(out) {
            break;
        }
        num_holding += 1;
    }
    milestones.truncate(num_holding);
    milestones
}

/// How many candidates of each split the milestones cover.
pub(super) fn starts(plan: &Plan, milestones: &[Milestone]) -> Vec<usize> {
    plan.splits
        .iter()
        .map(|split| start_of(split, milestones))
        .collect()
}

/// The manifest, if the earlier packing had come to its end and was killed when only its journal was left to be removed.
pub(super) fn published(out: &Path, plan: &Plan, milestones: &[Milestone]) -> Option<Manifest> {
    let manifest = Manifest::load(out).ok()?;
    let is_whole = |split: &PlannedSplit| {
        let start = start_of(split, milestones);
        start == 0 || start == split.entries.len()
    };
    let listed = manifest.splits.iter();
    let listed = listed
        .flat_map(|(split, of_split)| of_split.shards.iter().map(move |shard| (split, shard)));
    let finished = milestones.iter().map(|milestone| &milestone.finished);
    let is_the_same = listed.eq(finished.map(|finished| (&finished.split, finished.shard())));
    let is_published = !milestones.is_empty() && is_the_same && plan.splits.iter().all(is_whole);
    (is_published && manifest.classes == plan.classes).then_some(manifest)
}

pub(super) fn add_stamp(digest: &mut Xxh3, stamp: Stamp) {
    digest.update(&stamp.num_bytes.to_le_bytes());
    digest.update(&stamp.changed_ns.to_le_bytes());
}

fn start_of(split: &PlannedSplit, milestones: &[Milestone]) -> usize {
    let of_split = milestones
        .iter()
        .filter(|milestone| milestone.finished.split == split.name);
    of_split
        .map(|milestone| milestone.position)
        .max()
        .unwrap_or(0)
}

/// A digest of the stamps of these candidates as they are now; nothing if there are none such.
fn stamps(catalogue: &Catalogue, split: &PlannedSplit, range: Range<usize>) -> Option<u64> {
    let mut digest = Xxh3::new();
    for entry in split.entries.get(range)? {
        let location = catalogue.candidate(*entry).location();
        add_stamp(&mut digest, Stamp::at(&location));
    }
    Some(digest.digest())
}
