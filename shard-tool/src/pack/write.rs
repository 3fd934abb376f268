//! Writes a plan, from where an earlier packing of it ended.

use std::path::Path;

use shard_format::{FinishedShard, Manifest, NewSample, SetWriter, WriterOptions};
use xxhash_rust::xxh3::Xxh3;

use super::{digest, num_empty_classes, transcode};
use crate::cli::PackOptions;
use crate::error::ToolError;
use crate::feed::{self, Outcome, Reading, Stamp};
use crate::interrupt::Interrupt;
use crate::journal::{self, Journal, Milestone};
use crate::plan::{Plan, PlannedSplit};
use crate::progress::Progress;
use crate::report::{Skips, counted, thousands};
use crate::source::{Catalogue, Source};

/// Tar headers, padding, label and index of a sample, roughly; to tell how much space is needed.
const OVERHEAD_BYTES: u64 = 2_048;

/// Everything that a packing in progress needs.
struct Packing<'a> {
    options: &'a PackOptions,
    plan: &'a Plan,
    catalogue: &'a Catalogue,
    skips: &'a mut Skips,
    out: &'a Path,
    interrupt: Interrupt,
    writer: SetWriter,
    journal: Journal,
    progress: Progress,
    /// Of the candidates since the last milestone.
    stamps: Xxh3,
    /// Shards that are closed and on disk.
    num_finished: usize,
}

pub(super) fn write(
    options: &PackOptions,
    out: &Path,
    plan: &Plan,
    source: &mut Source,
) -> Result<Manifest, ToolError> {
    let num_empty_classes = num_empty_classes(source, plan);
    let Source {
        catalogue, skips, ..
    } = source;
    let digest = digest(options, plan, catalogue);
    let milestones = adoptable(journal::load(out, digest), out, plan, catalogue);
    let writer_options = WriterOptions {
        shard_bytes: options.shard_bytes(),
        shard_samples: options.shard_samples(),
        zstd_level: options.compress,
        overwrite: options.overwrite,
    };
    let finished = milestones
        .iter()
        .map(|milestone| milestone.finished.clone())
        .collect();
    let writer = SetWriter::resume(out, plan.classes.clone(), writer_options, finished)?;
    let num_done = starts(plan, &milestones).iter().sum::<usize>() as u64;
    let progress = Progress::new("packing", plan.num_entries() - num_done);
    let mut packing = Packing {
        options,
        plan,
        catalogue,
        skips,
        out,
        interrupt: Interrupt::watch().map_err(ToolError::write(out))?,
        progress: progress.after_bytes(writer.num_bytes()),
        writer,
        journal: Journal::create(out, digest, &milestones)?,
        stamps: Xxh3::new(),
        num_finished: milestones.len(),
    };
    let written = packing.write_splits(&milestones);
    packing.progress.finish();
    eprint!("{}", packing.skips.to_text());
    packing.end(written, num_empty_classes)
}

impl Packing<'_> {
    fn write_splits(&mut self, milestones: &[Milestone]) -> Result<(), ToolError> {
        if let Some(last) = milestones.last() {
            *self.skips = last.skips.clone();
        }
        let starts = starts(self.plan, milestones);
        if !milestones.is_empty() {
            eprintln!(
                "note: going on after {} that an earlier packing finished, at {} of {} files",
                counted(milestones.len() as u64, "shard"),
                thousands(starts.iter().sum::<usize>() as u64),
                thousands(self.plan.num_entries())
            );
        }
        let plan = self.plan;
        plan.splits
            .iter()
            .zip(starts)
            .try_for_each(|(split, start)| self.write_split(split, start))
    }

    fn write_split(&mut self, split: &PlannedSplit, start: usize) -> Result<(), ToolError> {
        let mut is_begun = start > 0;
        if is_begun {
            self.writer.begin_split(split.name);
        }
        let (catalogue, transcode) = (self.catalogue, transcode(self.options));
        let location_of = |number: usize| catalogue.location(split.entries[start + number]);
        let num_left = split.entries.len() - start;
        feed::read_in_order(num_left, location_of, &transcode, |number, reading| {
            self.add(split, start + number, reading, &mut is_begun)?;
            self.progress.step(self.writer.num_bytes());
            Ok::<(), ToolError>(())
        })?;
        if !is_begun {
            eprintln!(
                "warning: split `{}` holds no image and is left out",
                split.name
            );
            return Ok(());
        }
        match self.writer.end_split()? {
            Some(finished) => self.note(finished, split.entries.len()),
            None => Ok(()),
        }
    }

    fn add(
        &mut self,
        split: &PlannedSplit,
        position: usize,
        reading: Reading,
        is_begun: &mut bool,
    ) -> Result<(), ToolError> {
        if self.interrupt.is_wanted() {
            return Err(ToolError::Stopped(self.out.to_owned()));
        }
        let entry = split.entries[position];
        match reading.outcome {
            Outcome::Skip(reason) => self.skips.add(&reason, &self.catalogue.shown(entry)),
            Outcome::Image { bytes, crc, header } => {
                if !std::mem::replace(is_begun, true) {
                    self.writer.begin_split(split.name);
                }
                let key = self.catalogue.key(entry);
                let label = self.plan.label(self.catalogue, entry);
                let sample = NewSample {
                    key: &key,
                    image: &bytes,
                    crc,
                    header,
                    label,
                };
                if let Some(finished) = self.writer.append(&sample)? {
                    self.note(finished, position)?;
                }
            }
        }
        add_stamp(&mut self.stamps, reading.stamp);
        Ok(())
    }

    /// Notes a finished shard, which holds what lies before `position`.
    fn note(&mut self, finished: FinishedShard, position: usize) -> Result<(), ToolError> {
        let stamps = std::mem::take(&mut self.stamps).digest();
        self.num_finished += 1;
        self.journal.add(&Milestone {
            finished,
            position,
            stamps,
            skips: self.skips.clone(),
        })
    }

    /// Publishes the set, or leaves what a later packing can go on from, or leaves nothing.
    fn end(
        self,
        written: Result<(), ToolError>,
        num_empty_classes: usize,
    ) -> Result<Manifest, ToolError> {
        let written = written.and_then(|()| self.check(num_empty_classes));
        let (out, plan, catalogue) = (self.out, self.plan, self.catalogue);
        let ended = match written {
            Ok(()) => {
                let manifest = self.writer.finish().map_err(ToolError::Format);
                manifest.and_then(|manifest| self.journal.remove().map(|()| manifest))
            }
            Err(error) if error.is_of_the_source() || self.num_finished == 0 => {
                // Before the writer is dropped, which removes the folder if it is empty.
                self.journal.remove()?;
                drop(self.writer);
                Err(error)
            }
            Err(error) => {
                self.writer.suspend();
                Err(error)
            }
        };
        ended.map_err(|error| explain(error, out, plan, catalogue))
    }

    /// Whether what was written may be published.
    fn check(&self, num_empty_classes: usize) -> Result<(), ToolError> {
        let (src, num_skipped) = (self.options.src[0].clone(), self.skips.num_files());
        if self.options.strict && (num_skipped > 0 || num_empty_classes > 0) {
            return Err(ToolError::Strict {
                src,
                num_skipped,
                num_empty_classes,
            });
        }
        if self.num_finished == 0 {
            return Err(ToolError::NoImages {
                src,
                num_folders: self.catalogue.groups().len(),
                num_skipped,
            });
        }
        Ok(())
    }
}

/// The milestones that still hold: in the order of the plan, with their shard on disk and their sources unchanged.
fn adoptable(
    milestones: Vec<Milestone>,
    out: &Path,
    plan: &Plan,
    catalogue: &Catalogue,
) -> Vec<Milestone> {
    let mut starts = vec![0; plan.splits.len()];
    let holds = |milestone: &Milestone| {
        let name = &milestone.finished.split;
        let Some(at) = plan.splits.iter().position(|split| split.name == name) else {
            return false;
        };
        let between = plan.splits[at].entries.get(starts[at]..milestone.position);
        let is_same = between.is_some_and(|entries| stamps(catalogue, entries) == milestone.stamps);
        starts[at] = milestone.position;
        is_same && milestone.finished.is_in(out)
    };
    let mut milestones = milestones;
    let num_holding = milestones
        .iter()
        .map(holds)
        .take_while(|holds| *holds)
        .count();
    milestones.truncate(num_holding);
    milestones
}

/// How many candidates of each split the milestones cover.
fn starts(plan: &Plan, milestones: &[Milestone]) -> Vec<usize> {
    plan.splits
        .iter()
        .map(|split| start_of(split, milestones))
        .collect()
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

fn stamps(catalogue: &Catalogue, entries: &[u32]) -> u64 {
    let mut digest = Xxh3::new();
    for entry in entries {
        add_stamp(&mut digest, Stamp::at(&catalogue.location(*entry)));
    }
    digest.digest()
}

fn add_stamp(digest: &mut Xxh3, stamp: Stamp) {
    digest.update(&stamp.num_bytes.to_le_bytes());
    digest.update(&stamp.changed_ns.to_le_bytes());
}

/// A full disk is told with what is needed and what is free.
fn explain(error: ToolError, out: &Path, plan: &Plan, catalogue: &Catalogue) -> ToolError {
    match error {
        ToolError::Format(format) if format.is_disk_full() => match free_bytes(out) {
            Some(free_bytes) => ToolError::DiskFull {
                out: out.to_owned(),
                needed_bytes: needed_bytes(plan, catalogue),
                free_bytes,
            },
            None => ToolError::Format(format),
        },
        other => other,
    }
}

/// What is free on the file system of `out`, which may be gone already.
fn free_bytes(out: &Path) -> Option<u64> {
    let disk_of = |path: &Path| rustix::fs::statvfs(path).ok();
    let disk = std::path::absolute(out)
        .ok()?
        .ancestors()
        .find_map(disk_of)?;
    Some(disk.f_bavail * disk.f_frsize)
}

/// The size of all candidates, where it can be told.
fn needed_bytes(plan: &Plan, catalogue: &Catalogue) -> u64 {
    let entries = plan.splits.iter().flat_map(|split| &split.entries);
    let size = |entry: &u32| Stamp::at(&catalogue.location(*entry)).num_bytes + OVERHEAD_BYTES;
    entries.map(size).sum()
}
