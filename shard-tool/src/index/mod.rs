//! `shard-tool index`: makes WebDataset shards a set, without rewriting them.
//!
//! Each tar is walked through once, in the order of the list; its digest and the checksums of its
//! images are taken on the way. Index and manifest are written beside the tars.

mod error;
mod labels;
mod repeated;
mod report;
mod sample;
mod scan;
mod shards;

use std::fs;
use std::time::Instant;

use shard_format::{Manifest, MappedFile, SetIndexer, WalkedTar, modified_ns};

use crate::cli::IndexOptions;
use crate::error::ToolError;
use crate::output::{self, tell_lines};
use crate::progress::Progress;
pub(crate) use error::IndexError;
use labels::Labels;
use report::{Notes, Summary};
use scan::Scan;
use shards::ShardList;

/// Indexes what `options` name and prints the summary.
pub(crate) fn run(options: &IndexOptions) -> Result<(), ToolError> {
    let started = Instant::now();
    let shards = ShardList::find(options)?;
    let mut labels = Labels::new(options)?;
    let mut notes = Notes::default();
    let mut progress = Progress::over_bytes("indexing", shards.num_bytes());
    let written = write(options, &shards, &mut labels, &mut notes, &mut progress);
    progress.finish();
    tell_lines(&notes.to_text());
    let summary = Summary {
        manifest: &written?,
        dir: &shards.dir,
        notes: &notes,
        elapsed: started.elapsed(),
    };
    output::print(|out| match options.json {
        true => out.json(&summary.to_json()),
        false => out.bytes(summary.to_text().as_bytes()),
    })
}

fn write(
    options: &IndexOptions,
    shards: &ShardList,
    labels: &mut Labels,
    notes: &mut Notes,
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
        return Err(IndexError::NoSample(shards.dir.clone()).into());
    }
    let manifest = indexer.finish(labels.classes())?;
    repeated::note(&shards.dir, &manifest, notes)?;
    Ok(manifest)
}
