//! Writes a plan, from where an earlier packing of it ended.

use std::path::Path;

use shard_format::{FinishedShard, Manifest, NewSample, SetWriter, WriterOptions};
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

use super::journal::{self, Journal, Milestone};
use super::missing::Missing;
use super::plan::Plan;
use super::reading::{Outcome, Reading};
use super::resume::{add_stamp, adoptable, published, starts};
use super::{classes, read_ahead};
use crate::commands::pack::options::PackOptions;
use crate::error::ToolError;
use crate::report::counts::{Reasons, counted, thousands};
use crate::report::output::{tell, tell_lines};
use crate::report::progress::Progress;
use crate::source::catalogue::Catalogue;
use crate::source::contents::Source;
use crate::source::location::Stamp;
use crate::system::disk::{free_bytes, mib_up};
use crate::system::interrupt::Interrupt;

/// Tar headers, padding, label and index of a sample, roughly; to tell how much space is needed.
const OVERHEAD_BYTES: u64 = 2_048;

/// Everything that a packing in progress needs.
struct Packing<'a> {
    options: &'a PackOptions,
    plan: &'a Plan,
    catalogue: &'a Catalogue,
    skips: &'a mut Reasons,
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
    missing: Missing,
}

pub(crate) fn write(
    options: &PackOptions,
    out: &Path,
    plan: &Plan,
    source: &mut Source,
) -> Result<Manifest, ToolError> {
    let num_empty_classes = classes::num_without_images(source, plan);
    let Source {
        catalogue, skips, ..
    } = source;
    let digest = digest(options, plan, catalogue);
    let earlier = earlier(options, out, digest)?;
    let num_earlier = earlier.len();
    let milestones = adoptable(earlier, out, plan, catalogue);
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
            tell_lines(&skips.skipped());
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
        missing: Missing::default(),
    };
    let written = packing.write_splits(&milestones);
    packing.progress.finish();
    tell_lines(&packing.skips.skipped());
    packing.end(written, num_empty_classes)
}

/// A digest of everything that decides the bytes of the shards but the content of the source.
fn digest(options: &PackOptions, plan: &Plan, catalogue: &Catalogue) -> u64 {
    let chosen = (
        options.transcode(),
        options.shard_size,
        options.samples_per_shard,
        options.compress,
        env!("CARGO_PKG_VERSION"),
    );
    xxh3_64_with_seed(format!("{chosen:?}").as_bytes(), plan.digest(catalogue))
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
        number if number > 0 && !options.overwrite => Err(ToolError::usage(
            format_args!(
                "an earlier packing of other files, or with other options, has finished {number} shards here"
            ),
            out.display(),
            "run its command again to go on, or give --overwrite to lose them",
        )),
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
        let left = &split.entries[start..];
        let location_of = |position: usize| catalogue.candidate(left[position]).location();
        let read_options = self.options.read_options();
        read_ahead::in_order(
            left.len(),
            location_of,
            read_options,
            |position, reading| {
                self.add(number, start + position, reading, &mut is_begun)?;
                self.progress.step(self.writer.num_bytes());
                Ok(())
            },
        )?;
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
            let remedy = "run the same command again to go on after the last finished shard";
            return Err(ToolError::stopped(self.out, remedy));
        }
        let planned = &self.plan.splits[split];
        let candidate = self.catalogue.candidate(planned.entries[position]);
        self.missing.count(&reading.outcome, || candidate.shown())?;
        if let Some(reason) = reading.outcome.reason_to_skip(|| candidate.shown())? {
            self.skips.add(&reason, candidate.shown().display());
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
        let num_skipped = self.skips.number();
        let judged = match written {
            Ok(()) => check_strict(self.options, num_skipped, num_empty_classes)
                .and_then(|()| self.check_holds_images()),
            Err(_) => Ok(()),
        };
        // The source is to blame, so that what was written of it is of no use.
        let is_of_no_use = judged.is_err() || self.num_finished == 0;
        let written = written.and(judged).and_then(|()| Ok(self.writer.finish()?));
        let left = Left {
            plan: self.plan,
            catalogue: self.catalogue,
            finished: self.finished,
        };
        let ended = match written {
            Ok(manifest) => self.journal.remove().map(|()| manifest),
            Err(error) if is_of_no_use => {
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
        let groups = self.catalogue.groups().len();
        Err(no_images(self.options, groups, self.skips))
    }
}

/// Nothing is left to be packed.
pub(crate) fn no_images(options: &PackOptions, num_groups: usize, skips: &Reasons) -> ToolError {
    let folders = counted(num_groups as u64, "class folder");
    let files = counted(skips.number(), "file");
    ToolError::data(
        format_args!("no JPEG or PNG image in {folders}, {files} skipped (see above)"),
        options.src[0].display(),
        "check the path",
    )
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
    let files = counted(num_skipped, "file");
    let folders = counted(num_empty_classes as u64, "class folder");
    Err(ToolError::data(
        format_args!("{files} skipped and {folders} without images, with --strict"),
        options.src[0].display(),
        "remove them or leave out --strict (nothing was written)",
    ))
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
        let free = free_bytes(out).filter(|_| error.is_disk_full());
        let Some(free) = free else { return error };
        let (needed, free) = (mib_up(self.num_bytes()), free >> 20);
        ToolError::resources(
            "the disk is full",
            out.display(),
            format_args!(
                "what is left of the set needs about {needed} MiB, {free} MiB are free there: free some and run the same command \
                 again, which goes on after the last finished shard, or give --out on another disk"
            ),
        )
    }

    /// The size of the candidates that are left.
    fn num_bytes(&self) -> u64 {
        let splits = self.plan.splits.iter().zip(&self.finished);
        let left = splits.flat_map(|(split, start)| &split.entries[*start..]);
        let size = |entry: &u32| Stamp::at(&self.catalogue.candidate(*entry).location()).num_bytes;
        left.map(|entry| size(entry) + OVERHEAD_BYTES).sum()
    }
}
