//! `shard-tool index`: makes WebDataset shards a set, without rewriting them.
//!
//! Each tar is walked through once, in the order of the list; its digest and the checksums of its
//! images are taken on the way. Index and manifest are written beside the tars.

mod labels;
pub(crate) mod options;
mod sample;
mod scan;
mod shards;

use std::borrow::Cow;
use std::fs;
use std::path::Path;
use std::time::Instant;

use shard_format::{
    Index, Manifest, MappedFile, SetIndexer, ShardManifest, WalkedTar, modified_ns,
};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::ToolError;
use crate::report::counts::{Reasons, thousands};
use crate::report::output::{self, tell_lines};
use crate::report::progress::Progress;
use crate::report::summary;
use crate::source::by_hash;
use labels::Labels;
use options::IndexOptions;
use scan::Scan;
use shards::ShardList;

/// Indexes what `options` name and prints the summary.
pub(crate) fn run(options: &IndexOptions) -> Result<(), ToolError> {
    let started = Instant::now();
    let options = match &options.again {
        Some(dir) => Cow::Owned(shards::as_before(dir, options)?),
        None => Cow::Borrowed(options),
    };
    let shards = ShardList::find(&options)?;
    let mut labels = Labels::new(&options)?;
    let mut notes = Reasons::default();
    let mut progress = Progress::over_bytes("indexing", shards.num_bytes());
    let written = write(&options, &shards, &mut labels, &mut notes, &mut progress);
    progress.finish();
    tell_lines(&notes.to_text(|number, reason| format!("{reason}: {}", thousands(number))));
    let (manifest, elapsed) = (written?, started.elapsed());
    let splits = manifest.splits.values();
    let json = serde_json::json!({
        "dir": shards.dir.display().to_string(), "num_classes": manifest.classes.len(),
        "num_samples": splits.clone().map(|split| split.num_samples).sum::<u64>(),
        "num_unlabelled": splits.map(|split| split.num_unlabelled).sum::<u64>(),
        "splits": summary::splits(&manifest), "warnings": notes.to_json(), "seconds": elapsed.as_secs_f64(),
    });
    let text = summary::text("indexed", &manifest, &shards.dir, elapsed);
    output::print(|out| out.either(options.json, &json, &text))
}

fn write(
    options: &IndexOptions,
    shards: &ShardList,
    labels: &mut Labels,
    notes: &mut Reasons,
    progress: &mut Progress,
) -> Result<Manifest, ToolError> {
    let how = shards.how_indexed(options)?;
    let mut indexer = SetIndexer::create(&shards.dir, how, options.overwrite)?;
    let (mut num_samples, mut bytes_before) = (0, 0);
    for split in &shards.splits {
        for file in &split.files {
            let mut scan = Scan {
                dir: &shards.dir,
                file,
                bytes_before,
                allow_damaged: options.allow_damaged,
                labels,
                notes,
                progress,
            };
            let path = shards.dir.join(file);
            // Asked before it is read: what is written to it meanwhile is noticed when the set is opened.
            let modified_ns = modified_ns(&fs::metadata(&path).map_err(ToolError::read(&path))?);
            let tar = MappedFile::open(&path)?;
            let scanned = scan.run(&tar)?;
            num_samples += scanned.num_samples;
            let walked = WalkedTar {
                file,
                num_bytes: tar.len() as u64,
                digest: scanned.digest.digest(),
                modified_ns,
            };
            bytes_before += walked.num_bytes;
            indexer.add_shard(&split.name, &walked, scanned.found)?;
        }
    }
    if num_samples == 0 {
        return Err(ToolError::data(
            "no sample with a JPEG or PNG image",
            shards.dir.display(),
            "check the pattern, and what was skipped above",
        ));
    }
    let manifest = indexer.finish(labels.classes())?;
    for split in manifest.splits.values() {
        note_repeated(&shards.dir, &split.shards, notes)?;
    }
    Ok(manifest)
}

/// Notes keys that occur again in a split: each is another sample, as for every reader, but hardly meant.
fn note_repeated(
    dir: &Path,
    shards: &[ShardManifest],
    notes: &mut Reasons,
) -> Result<(), ToolError> {
    let open = |shard: &ShardManifest| Index::open(&dir.join(&shard.index_file));
    let indexes = shards.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let mut hashed = Vec::new();
    for (shard, index) in (0u32..).zip(&indexes) {
        for number in 0..index.num_entries() {
            let (_, key) = index.entry(number)?;
            hashed.push((xxh3_64(key.as_bytes()), (shard, number as u32)));
        }
        index.release();
    }
    let entry = |(shard, number): (u32, u32)| {
        let entry = indexes[shard as usize].entry(number.into());
        entry.expect("it was read before")
    };
    let place = |at: (u32, u32)| {
        let (file, offset) = (&shards[at.0 as usize].file, entry(at).0.offset);
        format!("in {file} at offset {offset}")
    };
    for (again, first) in by_hash::repeated(hashed, |at| entry(at).1) {
        let key = entry(again).1.escape_debug();
        let case = format!("{key} {}, and {}", place(again), place(first));
        notes.add("keys that occur again, each counted as a sample", case);
    }
    Ok(())
}
