//! Writes a plan, from where an earlier packing of it ended.

use std::path::Path;

use shard_format::{FinishedShard, Manifest, NewSample, SetWriter, WriterOptions};
use xxhash_rust::xxh3::Xxh3;

use super::gone::Gone;
use super::resume::{add_stamp, adoptable, published, starts};
use super::{classes, digest, feed_options};
use crate::cli::PackOptions;
use crate::disk::free_bytes;
use crate::error::ToolError;
use crate::feed::{self, Outcome, Reading, Stamp};
use crate::interrupt::Interrupt;
use crate::journal::{self, Journal, Milestone};
use crate::output::{tell, tell_lines};
use crate::plan::Plan;
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
    /// Candidates of each split that lie before the end of its last finished shard.
    finished: Vec<usize>,
    gone: Gone,
}

pub(super) fn write(
    options: &PackOptions,
    out: &Path,
    plan: &Plan,
    source: &mut Source,
) -> Result<Manifest, ToolError> {
    let num_empty_classes = classes::num_without_images(source, plan);
    let Source {
        catalogue, skips, ..
    } = source;
    let digest = digest(options, plan, catalogue)?;
    let earlier = earlier(options, out, digest)?;
    let num_earlier = earlier.len();
    let milestones = adoptable(earlier, out, plan, catalogue)?;
    if milestones.len() < num_earlier {
        tell!(
            "note: {} of an earlier packing are made anew, since their files have changed",
            counted((num_earlier - milestones.len()) as u64, "shard")
        );
    }
    if let Some(manifest) = published(out, plan, &milestones) {
        tell!("note: an earlier packing had finished; nothing was left to do");
        if let Some(last) = milestones.last() {
            *skips = last.skips.clone();
            tell_lines(&skips.to_text());
        }
        Journal::create(out, digest, &milestones)?.remove()?;
        return Ok(manifest);
    }
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
    let finished = starts(plan, &milestones);
    let num_done = finished.iter().sum::<usize>() as u64;
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
        finished,
        gone: Gone::default(),
    };
    let written = packing.write_splits(&milestones);
    packing.progress.finish();
    tell_lines(&packing.skips.to_text());
    packing.end(written, num_empty_classes)
}

/// The milestones of an earlier packing of the same plan.
///
/// # Errors
/// If it was one of another plan, whose finished shards would be lost unasked.
fn earlier(options: &PackOptions, out: &Path, digest: u64) -> Result<Vec<Milestone>, ToolError> {
    let Some((plan, milestones)) = journal::load(out) else {
        return Ok(Vec::new());
    };
    if plan == digest {
        return Ok(milestones);
    }
    let finished = milestones
        .iter()
        .filter(|milestone| milestone.finished.is_in(out));
    match finished.count() {
        num_shards if num_shards > 0 && !options.overwrite => Err(ToolError::OtherPacking {
            out: out.to_owned(),
            num_shards,
        }),
        _ => Ok(Vec::new()),
    }
}

impl Packing<'_> {
    fn write_splits(&mut self, milestones: &[Milestone]) -> Result<(), ToolError> {
        if let Some(last) = milestones.last() {
            *self.skips = last.skips.clone();
            tell!(
                "note: going on after {} that an earlier packing finished, at {} of {} files",
                counted(milestones.len() as u64, "shard"),
                thousands(self.finished.iter().sum::<usize>() as u64),
                thousands(self.plan.num_entries())
            );
        }
        (0..self.plan.splits.len()).try_for_each(|split| self.write_split(split))
    }

    fn write_split(&mut self, number: usize) -> Result<(), ToolError> {
        let (catalogue, split) = (self.catalogue, &self.plan.splits[number]);
        let start = self.finished[number];
        self.stamps = Xxh3::new();
        let mut is_begun = start > 0;
        if is_begun {
            self.writer.begin_split(split.name);
        }
        let location_of = |position: usize| {
            let entry = split.entries.get(start + position)?;
            Ok(catalogue.candidate(entry)?.location())
        };
        let num_left = split.entries.len() - start;
        let feed_options = feed_options(self.options);
        feed::read_in_order(num_left, location_of, feed_options, |position, reading| {
            self.add(number, start + position, reading, &mut is_begun)?;
            self.progress.step(self.writer.num_bytes());
            Ok(())
        })?;
        if !is_begun {
            tell!(
                "warning: split `{}` holds no image and is left out",
                split.name
            );
            return Ok(());
        }
        match self.writer.end_split()? {
            Some(finished) => self.note(finished, number, split.entries.len()),
            None => Ok(()),
        }
    }

    fn add(
        &mut self,
        split: usize,
        position: usize,
        reading: Reading,
        is_begun: &mut bool,
    ) -> Result<(), ToolError> {
        if self.interrupt.is_wanted() {
            return Err(ToolError::Stopped(self.out.to_owned()));
        }
        let planned = &self.plan.splits[split];
        let candidate = self.catalogue.candidate(planned.entries.get(position)?)?;
        self.gone.count(&reading.outcome, || candidate.shown())?;
        if let Some(reason) = reading.outcome.reason_to_skip(|| candidate.shown())? {
            self.skips.add(&reason, &candidate.shown());
        }
        if let Outcome::Image { bytes, crc, header } = reading.outcome {
            if !std::mem::replace(is_begun, true) {
                self.writer.begin_split(planned.name);
            }
            let finished = self.writer.append(&NewSample {
                key: &candidate.key(),
                image: &bytes,
                crc,
                header,
                label: self.plan.label(candidate.group_number),
            })?;
            if let Some(finished) = finished {
                self.note(finished, split, position)?;
            }
        }
        add_stamp(&mut self.stamps, reading.stamp);
        Ok(())
    }

    /// Notes a finished shard, which holds what lies before `position`.
    fn note(
        &mut self,
        finished: FinishedShard,
        split: usize,
        position: usize,
    ) -> Result<(), ToolError> {
        let stamps = std::mem::take(&mut self.stamps).digest();
        self.num_finished += 1;
        self.finished[split] = position;
        self.journal.add(&Milestone {
            finished,
            position,
            stamps,
            skips: self.skips.clone(),
        })
    }

    /// Publishes the set, or leaves what a later packing can go on from, or leaves nothing.
    fn end(
        mut self,
        written: Result<(), ToolError>,
        num_empty_classes: usize,
    ) -> Result<Manifest, ToolError> {
        let num_skipped = self.skips.num_files();
        let written = written
            .and_then(|()| check_strict(self.options, num_skipped, num_empty_classes))
            .and_then(|()| self.check_holds_images())
            .and_then(|()| Ok(self.writer.finish()?));
        let left = Left {
            plan: self.plan,
            catalogue: self.catalogue,
            finished: self.finished,
        };
        let ended = match written {
            Ok(manifest) => self.journal.remove().map(|()| manifest),
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
        ended.map_err(|error| left.explain(error, self.out))
    }

    fn check_holds_images(&self) -> Result<(), ToolError> {
        if self.num_finished > 0 {
            return Ok(());
        }
        Err(ToolError::NoImages {
            src: self.options.src[0].clone(),
            num_folders: self.catalogue.groups().len(),
            num_skipped: self.skips.num_files(),
        })
    }
}

/// Whether a set without what was skipped will do.
pub(super) fn check_strict(
    options: &PackOptions,
    num_skipped: u64,
    num_empty_classes: usize,
) -> Result<(), ToolError> {
    if !options.strict || (num_skipped == 0 && num_empty_classes == 0) {
        return Ok(());
    }
    Err(ToolError::Strict {
        src: options.src[0].clone(),
        num_skipped,
        num_empty_classes,
    })
}

/// What is not in finished shards yet.
struct Left<'a> {
    plan: &'a Plan,
    catalogue: &'a Catalogue,
    finished: Vec<usize>,
}

impl Left<'_> {
    /// A full disk is told with what is needed and what is free.
    fn explain(&self, error: ToolError, out: &Path) -> ToolError {
        let needed_bytes = error
            .is_disk_full()
            .then(|| self.num_bytes().ok())
            .flatten();
        match needed_bytes.zip(free_bytes(out)) {
            Some((needed_bytes, free_bytes)) => ToolError::DiskFull {
                out: out.to_owned(),
                needed_bytes,
                free_bytes,
            },
            None => error,
        }
    }

    /// The size of the candidates that are left, where it can be told.
    fn num_bytes(&self) -> Result<u64, ToolError> {
        let mut num_bytes = 0;
        for (split, start) in self.plan.splits.iter().zip(&self.finished) {
            for position in *start..split.entries.len() {
                let candidate = self.catalogue.candidate(split.entries.get(position)?)?;
                num_bytes += Stamp::at(&candidate.location()).num_bytes + OVERHEAD_BYTES;
            }
        }
        Ok(num_bytes)
    }
}
