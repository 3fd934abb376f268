//! Writes new indexes and a new manifest without the bad samples. Shards are not touched.
//!
//! Everything is written under temporary names first, then renamed, the manifest last. Whoever is
//! interrupted between two renames has a set whose manifest does not fit some indexes; repairing it
//! again completes it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::Serialize;
use shard_format::{
    IndexBuilder, MANIFEST_FILE, Manifest, ShardManifest, SplitManifest, UNLABELLED, folder, name,
};
use xxhash_rust::xxh3::xxh3_64;

use super::defect::SampleId;
use super::digest::hex;
use super::findings::{Findings, TarFacts};
use super::shard::Shard;
use crate::error::{ToolError, again};

/// What a repair has changed.
#[derive(Debug, Default, Serialize)]
pub(super) struct Repaired {
    pub(super) num_samples_dropped: u64,
    pub(super) num_samples_left: u64,
    pub(super) shards_dropped: Vec<String>,
    pub(super) files_written: Vec<String>,
}

/// Repairs the set in `dir`, whose lock the caller holds.
///
/// # Errors
/// If nothing would be left, an index is of no use that only its owner can make, or the system refuses.
pub(super) fn repair(
    dir: &Path,
    manifest: &Manifest,
    shards: &[Shard<'_>],
    findings: &Findings,
) -> Result<Repaired, ToolError> {
    check_can_be_judged(dir, shards, findings)?;
    let mut repaired = Repaired::default();
    let outcome = write_all(dir, manifest, shards, findings, &mut repaired);
    if outcome.is_err() {
        for file in &repaired.files_written {
            drop(fs::remove_file(dir.join(name::partial_file(file))));
        }
    }
    outcome.map(|()| repaired)
}

fn write_all(
    dir: &Path,
    manifest: &Manifest,
    shards: &[Shard<'_>],
    findings: &Findings,
    repaired: &mut Repaired,
) -> Result<(), ToolError> {
    let bad: BTreeSet<SampleId> = findings
        .defects
        .iter()
        .filter_map(|defect| defect.sample)
        .collect();
    let mut repaired_manifest = manifest.clone();
    let splits = repaired_manifest.splits.values_mut();
    splits.for_each(|split| *split = SplitManifest::default());
    for shard in shards {
        let tar = findings.tars.get(&shard.number).copied();
        let split = repaired_manifest.splits.get_mut(shard.split);
        let split = split.expect("all splits are there");
        match without_bad(shard, tar, &bad, split) {
            Some(index) => keep(dir, shard, tar, &index, split, repaired)?,
            None => repaired.shards_dropped.push(shard.manifest.file.clone()),
        }
    }
    note_times(shards, &mut repaired_manifest);
    check_is_usable(dir, &repaired_manifest)?;
    count(manifest, &repaired_manifest, repaired);
    folder::write_partial(dir, MANIFEST_FILE, repaired_manifest.to_json().as_bytes())?;
    repaired.files_written.push(MANIFEST_FILE.to_owned());
    publish(dir, &repaired.files_written)
}

/// Tars that were there before the set are taken as they were when they were opened.
fn note_times(shards: &[Shard<'_>], manifest: &mut Manifest) {
    let Some(in_place) = &mut manifest.indexed_in_place else {
        return;
    };
    let kept = manifest.splits.values().flat_map(|split| &split.shards);
    let kept: BTreeSet<&str> = kept.map(|shard| shard.file.as_str()).collect();
    let times = shards.iter().filter_map(|shard| {
        let file = &shard.manifest.file;
        let is_kept = kept.contains(file.as_str());
        Some((file.clone(), shard.modified_ns.filter(|_| is_kept)?))
    });
    in_place.modified_ns = times.collect();
}

/// Nothing is dropped for want of knowledge.
fn check_can_be_judged(
    dir: &Path,
    shards: &[Shard<'_>],
    findings: &Findings,
) -> Result<(), ToolError> {
    for shard in shards {
        let tar = findings.tars.get(&shard.number);
        let (file, index_file) = (&shard.manifest.file, &shard.manifest.index_file);
        let refuse = |problem: &str, remedy: &str| Err(beyond_repair(dir, problem, remedy));
        if shard.is_unreadable {
            let problem = format!("{file} cannot be read");
            return refuse(&problem, "see to it that it can be read");
        }
        if shard.tar.is_some() && shard.index.is_none() && shard.in_place.is_some() {
            let remedy = format!("index the set again: {}", again(dir));
            return refuse(&format!("{index_file} is of no use"), &remedy);
        }
        // The tar does not tell which of its samples a repair had dropped before.
        if shard.rebuilt && tar.is_some_and(|tar| tar.as_stated) && !shard.has_stated_index() {
            let problem =
                format!("{index_file} is of no use, and listed other samples than its tar has");
            return refuse(&problem, "copy that file again, or pack the set again");
        }
    }
    Ok(())
}

/// The index of the good samples, which are counted in `split`; `None` if there are none.
fn without_bad(
    shard: &Shard<'_>,
    tar: Option<TarFacts>,
    bad: &BTreeSet<SampleId>,
    split: &mut SplitManifest,
) -> Option<IndexBuilder> {
    // The checksums of an index that was made anew tell nothing of a tar that has changed.
    let trusted = tar.is_some_and(|tar| tar.as_stated || !shard.rebuilt);
    if !trusted {
        return None;
    }
    let mut builder = IndexBuilder::default();
    for entry in 0..shard.num_entries() {
        let id = SampleId {
            shard: shard.number,
            entry: entry as u32,
        };
        let Some((entry, key)) = shard.entry(entry).filter(|_| !bad.contains(&id)) else {
            continue;
        };
        builder.push(&entry, key);
        split.count(&entry.header, entry.label != UNLABELLED);
    }
    shard.release_index();
    (builder.num_entries() > 0).then_some(builder)
}

/// Adds the shard to the manifest, and writes its index if it is another one than before.
fn keep(
    dir: &Path,
    shard: &Shard<'_>,
    tar: Option<TarFacts>,
    builder: &IndexBuilder,
    split: &mut SplitManifest,
    repaired: &mut Repaired,
) -> Result<(), ToolError> {
    let tar = tar.expect("a shard without tar is dropped");
    let index = builder.to_bytes(tar.num_bytes, tar.digest);
    let (file, index_file) = (&shard.manifest.file, &shard.manifest.index_file);
    split.push(ShardManifest {
        file: file.clone(),
        num_samples: builder.num_entries(),
        num_bytes: tar.num_bytes,
        zstd_bytes: shard.manifest.zstd_bytes,
        xxh3: hex(tar.digest),
        index_file: index_file.clone(),
        index_bytes: index.len() as u64,
        index_xxh3: hex(xxh3_64(&index)),
    });
    let before = shard.index.as_ref().filter(|_| !shard.rebuilt);
    if before.is_none_or(|before| before.bytes() != index) {
        folder::write_partial(dir, index_file, &index)?;
        repaired.files_written.push(index_file.clone());
    }
    Ok(())
}

fn check_is_usable(dir: &Path, manifest: &Manifest) -> Result<(), ToolError> {
    let num_left: u64 = manifest
        .splits
        .values()
        .map(|split| split.num_samples)
        .sum();
    let problem = match manifest.contradictions().into_iter().next() {
        None if num_left == 0 => "no sample is good".to_owned(),
        None => return Ok(()),
        Some(problem) => problem,
    };
    Err(beyond_repair(dir, &problem, "pack it again"))
}

/// Why nothing is repaired.
pub(super) fn beyond_repair(set: &Path, problem: &str, remedy: &str) -> ToolError {
    ToolError::data(
        format_args!("the set cannot be repaired: {problem}"),
        set.display(),
        format_args!("{remedy} (nothing was changed)"),
    )
}

fn count(before: &Manifest, after: &Manifest, repaired: &mut Repaired) {
    let sum = |manifest: &Manifest| -> u64 {
        let shards = manifest.splits.values().flat_map(|split| &split.shards);
        shards.map(|shard| shard.num_samples).sum()
    };
    repaired.num_samples_left = sum(after);
    repaired.num_samples_dropped = sum(before).saturating_sub(sum(after));
}

/// Gives the files their names, in this order: the manifest comes last.
fn publish(dir: &Path, files: &[String]) -> Result<(), ToolError> {
    for file in files {
        if file == MANIFEST_FILE {
            folder::sync(dir)?;
        }
        folder::publish(dir, file)?;
    }
    Ok(folder::sync(dir)?)
}
