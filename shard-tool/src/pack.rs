//! `shard-tool pack`: from a folder of class folders to a packed set.
//!
//! Files are read ahead on several threads; this thread writes them in the order of the plan.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use shard_format::{Manifest, NewSample, SetWriter, WriterOptions};

use crate::cli::PackOptions;
use crate::error::ToolError;
use crate::feed::{self, Reading};
use crate::imagenet::{self, ClassFolder, Listing};
use crate::plan::{self, Plan, PlannedSplit};
use crate::progress::Progress;
use crate::report::{self, Skips};

/// Tar headers, padding, label and index of a sample, roughly; to tell how much space is needed.
const OVERHEAD_BYTES: u64 = 2_048;

/// Packs `options.src` and prints the summary.
pub(crate) fn run(options: &PackOptions) -> Result<(), ToolError> {
    let started = Instant::now();
    let out = match &options.out {
        Some(out) => out.clone(),
        None => default_out(&options.src)?,
    };
    let mut listing = imagenet::list(&options.src)?;
    check_usage(options, &out, &listing)?;
    for folder in &listing.ignored_folders {
        eprintln!(
            "warning: left out, since it is beside train and val: {}",
            folder.display()
        );
    }
    let classes = classes_with_images(&listing.folders, &mut listing.skips);
    let num_empty_classes = warn_of_empty_classes(&listing.folders, &classes);
    if classes.is_empty() {
        eprint!("{}", listing.skips.to_text());
        let (num_folders, num_skipped) = (listing.folders.len(), listing.skips.num_files());
        return Err(ToolError::NoImages {
            src: options.src.clone(),
            num_folders,
            num_skipped,
        });
    }
    let plan = plan::plan(
        &listing.folders,
        &classes,
        options.seed,
        options.val_fraction,
    );
    let manifest = write(options, &out, &plan, &mut listing, num_empty_classes)?;
    print!("{}", report::summary(&manifest, &out, started.elapsed()));
    Ok(())
}

/// `SRC-shards`, beside SRC.
fn default_out(src: &Path) -> Result<PathBuf, ToolError> {
    // `.` and `..` have no name of their own.
    let named = match src.file_name() {
        Some(_) => src.to_owned(),
        None => fs::canonicalize(src).map_err(|_| ToolError::MissingSource(src.to_owned()))?,
    };
    let mut name = named
        .file_name()
        .ok_or_else(|| ToolError::NoDefaultOut(src.to_owned()))?
        .to_owned();
    name.push("-shards");
    Ok(named.with_file_name(name))
}

fn check_usage(options: &PackOptions, out: &Path, listing: &Listing) -> Result<(), ToolError> {
    if options.val_fraction.is_some() && listing.has_val {
        return Err(ToolError::HasVal(options.src.clone()));
    }
    let src = fs::canonicalize(&options.src).map_err(ToolError::read(&options.src))?;
    if resolved(out)?.starts_with(src) {
        return Err(ToolError::OutInsideSource(out.to_owned()));
    }
    Ok(())
}

/// The path without links, of which the last parts may not exist yet.
fn resolved(path: &Path) -> Result<PathBuf, ToolError> {
    let whole = std::path::absolute(path).map_err(ToolError::read(path))?;
    for ancestor in whole.ancestors() {
        if let Ok(existing) = fs::canonicalize(ancestor) {
            let rest = whole
                .strip_prefix(ancestor)
                .expect("an ancestor is a prefix");
            return Ok(existing.join(rest));
        }
    }
    Ok(whole)
}

/// Classes with at least one image. The files of the others are reported as skipped.
fn classes_with_images(folders: &[ClassFolder], skips: &mut Skips) -> BTreeSet<String> {
    let mut classes = BTreeSet::new();
    for folder in folders {
        if !classes.contains(&folder.class) && has_image(folder) {
            classes.insert(folder.class.clone());
        }
    }
    for folder in folders
        .iter()
        .filter(|folder| !classes.contains(&folder.class))
    {
        for path in folder.files.iter().map(|file| folder.dir.join(file)) {
            if let Reading::Skip(reason) = feed::read(&path) {
                skips.add(&reason, &path);
            }
        }
    }
    classes
}

fn has_image(folder: &ClassFolder) -> bool {
    folder
        .files
        .iter()
        .any(|file| matches!(feed::read(&folder.dir.join(file)), Reading::Image { .. }))
}

fn warn_of_empty_classes(folders: &[ClassFolder], classes: &BTreeSet<String>) -> usize {
    let empty: BTreeSet<&str> = folders
        .iter()
        .map(|folder| folder.class.as_str())
        .filter(|class| !classes.contains(*class))
        .collect();
    for class in &empty {
        eprintln!(
            "warning: class folder `{class}` holds no image; it is not a class and gets no label"
        );
    }
    empty.len()
}

fn write(
    options: &PackOptions,
    out: &Path,
    plan: &Plan,
    listing: &mut Listing,
    num_empty_classes: usize,
) -> Result<Manifest, ToolError> {
    let shard_bytes = options.shard_size << 20;
    let writer_options = WriterOptions {
        shard_bytes,
        overwrite: options.overwrite,
    };
    let mut writer = SetWriter::create(out, plan.classes.clone(), writer_options)?;
    let num_files = plan
        .splits
        .iter()
        .map(|split| split.files.len() as u64)
        .sum();
    let mut progress = Progress::new("packing", num_files);
    let Listing { folders, skips, .. } = listing;
    let written = plan
        .splits
        .iter()
        .try_for_each(|split| write_split(&mut writer, split, folders, skips, &mut progress));
    progress.finish();
    eprint!("{}", skips.to_text());
    if let Err(error) = written {
        drop(writer);
        return Err(explain(error, out, plan, folders));
    }
    let num_skipped = skips.num_files();
    if options.strict && (num_skipped > 0 || num_empty_classes > 0) {
        return Err(ToolError::Strict {
            src: options.src.clone(),
            num_skipped,
            num_empty_classes,
        });
    }
    writer
        .finish()
        .map_err(|error| explain(error.into(), out, plan, folders))
}

fn write_split(
    writer: &mut SetWriter,
    split: &PlannedSplit,
    folders: &[ClassFolder],
    skips: &mut Skips,
    progress: &mut Progress,
) -> Result<(), ToolError> {
    let path_of = |number: usize| split.files[number].path(folders);
    let mut begun = false;
    feed::read_in_order(split.files.len(), path_of, |number, reading| {
        let file = &split.files[number];
        match reading {
            Reading::Skip(reason) => skips.add(&reason, &path_of(number)),
            Reading::Image { bytes, crc, header } => {
                if !begun {
                    writer.begin_split(split.name)?;
                    begun = true;
                }
                let label = Some(file.label);
                writer.append(&NewSample {
                    key: &file.key,
                    image: &bytes,
                    crc,
                    header,
                    label,
                })?;
            }
        }
        progress.step(writer.num_bytes());
        Ok::<(), ToolError>(())
    })?;
    if !begun {
        eprintln!(
            "warning: split `{}` holds no image and is left out",
            split.name
        );
    }
    Ok(())
}

/// A full disk is told with what is needed and what is free.
fn explain(error: ToolError, out: &Path, plan: &Plan, folders: &[ClassFolder]) -> ToolError {
    match error {
        ToolError::Format(format) if format.is_disk_full() => match free_bytes(out) {
            Some(free_bytes) => ToolError::DiskFull {
                out: out.to_owned(),
                needed_bytes: needed_bytes(plan, folders),
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
fn needed_bytes(plan: &Plan, folders: &[ClassFolder]) -> u64 {
    let files = plan.splits.iter().flat_map(|split| &split.files);
    let sizes = files.filter_map(|file| fs::metadata(file.path(folders)).ok());
    sizes.map(|metadata| metadata.len() + OVERHEAD_BYTES).sum()
}
