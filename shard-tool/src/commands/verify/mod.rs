//! `shard-tool verify`: whether a set is what its manifest says, down to each image.
//!
//! A defect does not end it: it looks at everything and lists all defects, in an order that does not depend on threads.

mod defect;
mod digest;
mod duplicates;
mod files;
mod findings;
mod members;
mod oddity;
pub(crate) mod options;
mod repair;
mod report;
mod samples;
mod scan;
mod shard;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

use shard_format::{MANIFEST_FILE, Manifest, ShardManifest, SplitManifest, folder, name};

use super::set;
use crate::error::ToolError;
use crate::report::output;
use defect::{Cause, Defect};
use findings::{Depth, Findings};
use options::VerifyOptions;
use repair::Repaired;
use report::Report;
use shard::Shard;

/// Checks, prints the report, and repairs if asked to.
pub(crate) fn run(options: &VerifyOptions) -> Result<(), ToolError> {
    let started = Instant::now();
    // Before anything is read: what is found must still be so when it is repaired.
    let lock = options.repair && options.set.is_dir();
    let _lock = lock
        .then(|| folder::lock_folder(&options.set))
        .transpose()?;
    let (manifest, is_sealed) = Manifest::load_unchecked(&options.set)?;
    let of_manifest = |problem| Defect::of_file(Cause::Manifest, MANIFEST_FILE, problem);
    let contradictions = manifest.contradictions().into_iter();
    let mut defects: Vec<Defect> = contradictions.map(of_manifest).collect();
    if !is_sealed {
        let problem = "it is damaged, or was changed by hand: its checksum differs";
        defects.push(of_manifest(problem.to_owned()));
    }
    // All together, since images in several of them may be compared.
    let splits = manifest.splits.values();
    set::check_room(splits.map(SplitManifest::num_bytes_to_unpack))?;
    let shards = open_shards(&options.set, &manifest, &mut defects)?;
    let depth = Depth {
        decode: options.decode,
        num_classes: manifest.classes.len(),
    };
    let mut findings = scan::scan(&shards, depth)?;
    findings.defects.append(&mut defects);
    complete(&mut findings, &shards, &manifest);
    note_strays(&options.set, &manifest, &mut findings.notes);
    let mut report = Report::new(options, &shards, &mut findings, started.elapsed());
    let mut refused = None;
    if options.repair && !report.is_sound() {
        match repair(options, &manifest, is_sealed, &shards, &findings) {
            Ok(repaired) => report.repaired = Some(repaired),
            Err(error) => refused = Some(error),
        }
    }
    output::print(|out| out.either(options.json, &report, &report.to_text()))?;
    match refused {
        Some(error) => Err(error),
        None => report.outcome(&options.set),
    }
}

fn repair(
    options: &VerifyOptions,
    manifest: &Manifest,
    is_sealed: bool,
    shards: &[Shard<'_>],
    findings: &Findings,
) -> Result<Repaired, ToolError> {
    if is_sealed {
        return repair::repair(&options.set, manifest, shards, findings);
    }
    let problem = format!("{MANIFEST_FILE} is damaged, or was changed by hand");
    let remedy = "copy it again, or pack or index the set again";
    Err(repair::beyond_repair(&options.set, &problem, remedy))
}

fn open_shards<'a>(
    dir: &Path,
    manifest: &'a Manifest,
    defects: &mut Vec<Defect>,
) -> Result<Vec<Shard<'a>>, ToolError> {
    let mut unusable = Vec::new();
    let splits = manifest.splits.iter();
    let listed =
        splits.flat_map(|(split, listed)| listed.shards.iter().map(move |one| (split, one)));
    let open = |(number, (split, one)): (u32, (&'a String, &'a ShardManifest))| {
        let in_place = manifest.indexed_in_place.as_ref();
        Shard::open(dir, number, split, one, in_place, &mut unusable)
    };
    let shards = (0..).zip(listed).map(open).collect();
    defects.extend(unusable.into_iter().map(Defect::of_unusable));
    shards
}

/// What can only be told when all shards have been looked at; then everything is put in order.
fn complete(findings: &mut Findings, shards: &[Shard<'_>], manifest: &Manifest) {
    check_counts(findings, shards, manifest);
    duplicates::find(shards, manifest, &mut findings.defects, &mut findings.notes);
    let place = |defect: &Defect| {
        let shard = defect.shard.clone();
        (shard, defect.offset, defect.cause, defect.reason.clone())
    };
    findings.defects.sort_by_cached_key(place);
    findings.notes.sort();
}

/// The manifest's counts of a split against its indexes, where all of them are there.
fn check_counts(findings: &mut Findings, shards: &[Shard<'_>], manifest: &Manifest) {
    for (split, stated) in &manifest.splits {
        let mut of_split = shards.iter().filter(|shard| shard.split == split.as_str());
        if !of_split.all(|shard| shard.is_complete()) {
            continue;
        }
        let statistics = findings.statistics.entry(split.clone()).or_default();
        let unlabelled = statistics.num_unlabelled == stated.num_unlabelled;
        let kinds = same_counts(&statistics.kinds, &stated.kinds);
        let colours = same_counts(&statistics.colours, &stated.colours);
        for (agrees, what) in [
            (unlabelled, "number of unlabelled samples"),
            (kinds, "table of kinds"),
            (colours, "table of colour models"),
        ] {
            if !agrees {
                let reason = format!("the {what} of `{split}` is not that of its indexes");
                let defect = Defect::of_file(Cause::Manifest, MANIFEST_FILE, reason);
                findings.defects.push(defect);
            }
        }
    }
}

fn same_counts(found: &BTreeMap<&'static str, u64>, stated: &BTreeMap<String, u64>) -> bool {
    let stated = stated.iter().map(|(name, count)| (name.as_str(), *count));
    found.iter().map(|(name, count)| (*name, *count)).eq(stated)
}

/// Files that look like those of the set and are not.
fn note_strays(dir: &Path, manifest: &Manifest, notes: &mut Vec<String>) {
    let shards = manifest.splits.values().flat_map(|split| &split.shards);
    let known: BTreeSet<&str> = shards
        .flat_map(|shard| [shard.file.as_str(), shard.index_file.as_str()])
        .collect();
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut strays: Vec<String> = names
        .filter(|file| name::is_set_file(file) && !known.contains(file.as_str()))
        .map(|file| format!("{file} is in the folder and not in the manifest"))
        .collect();
    strays.sort();
    notes.append(&mut strays);
}
