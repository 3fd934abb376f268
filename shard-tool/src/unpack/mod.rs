//! `shard-tool unpack`: from a set, or any tar, back to a folder of class folders.
//!
//! Every path is decided and judged before the first file is written. Files are written on several
//! threads, each path once, and never over something that is there.

mod foreign;
mod place;

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

use clap::Args;
use serde::Serialize;
use shard_format::{FormatError, MappedFile, Sample, ShardSet, name};

use crate::error::ToolError;
use crate::progress::Progress;
use crate::report::counted;
use crate::{output, set};

const ABOUT: &str = "Write the images of a set, or of any tar, as files.

Writes OUT/<split>/<class>/<file> with the bytes as they were packed. Files get the names that they had \
before they were packed, with the extension of their content (.jpg or .png); packing OUT again with \
the same options gives the same shards. A name that would lead elsewhere is kept in its escaped form.

A tar is unpacked without index or manifest: into the split that its file name tells, or --split, or \
`train`. Absolute paths, `..`, links and devices in it are refused before anything is written.";

const EXAMPLE: &str = "Example:
  shard-tool unpack imagenet-shards imagenet --split val
  shard-tool unpack somebody-elses-0001.tar images";

/// Write the images of a set, or of any tar, as files.
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLE)]
pub(crate) struct UnpackOptions {
    /// Folder that holds manifest.json, or a tar.
    set_or_shard: PathBuf,
    /// Folder for the images; must be empty or not there.
    out: PathBuf,
    /// Only this split of a set; of a tar, the split it is written to.
    #[arg(long, value_name = "NAME", value_parser = split_name)]
    split: Option<String>,
    /// One JSON object at the end.
    #[arg(long)]
    json: bool,
}

/// A file to be written.
#[derive(Debug)]
struct Item<'a> {
    /// Below OUT.
    path: PathBuf,
    image: &'a [u8],
    /// For the samples of a set, whose bytes are checked on the way.
    sample: Option<Sample<'a>>,
}

#[derive(Debug, Serialize)]
struct Summary {
    out: String,
    num_images: u64,
    num_bytes: u64,
    seconds: f64,
}

/// Unpacks and prints the summary.
pub(crate) fn run(options: &UnpackOptions) -> Result<(), ToolError> {
    let started = Instant::now();
    check_empty(&options.out)?;
    let (num_images, num_bytes) = if options.set_or_shard.is_file() {
        let tar = MappedFile::open(&options.set_or_shard)?;
        write_all(&options.out, &of_tar(options, &tar)?)?
    } else {
        let splits = set::open(&options.set_or_shard, options.split.as_deref())?;
        write_all(&options.out, &of_set(&splits)?)?
    };
    let summary = Summary {
        out: options.out.display().to_string(),
        num_images,
        num_bytes,
        seconds: started.elapsed().as_secs_f64(),
    };
    output::print(|out| match options.json {
        true => out.json(&summary),
        false => out.line(&summary.to_text()),
    })
}

fn split_name(text: &str) -> Result<String, String> {
    match name::is_split_name(text) {
        true => Ok(text.to_owned()),
        false => Err("a split is called by lower-case letters, digits and _".to_owned()),
    }
}

fn check_empty(out: &Path) -> Result<(), ToolError> {
    match fs::read_dir(out).map(|mut entries| entries.next().is_none()) {
        Ok(false) => Err(ToolError::OutNotEmpty(out.to_owned())),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(ToolError::write(out)(error))
        }
        _ => Ok(()),
    }
}

fn of_set(splits: &[ShardSet]) -> Result<Vec<Item<'_>>, ToolError> {
    let mut items = Vec::new();
    for split in splits {
        for sample in split.samples() {
            let sample = sample?;
            let path = place::path_of(split.split(), sample.key.as_bytes(), sample.kind);
            let path = path.map_err(|problem| ToolError::UnsafeMember {
                tar: PathBuf::from(sample.shard),
                member: sample.key.to_owned(),
                offset: sample.offset,
                problem,
            })?;
            items.push(Item {
                path,
                image: sample.image,
                sample: Some(sample),
            });
        }
    }
    Ok(items)
}

fn of_tar<'a>(options: &UnpackOptions, tar: &'a [u8]) -> Result<Vec<Item<'a>>, ToolError> {
    let path = &options.set_or_shard;
    let file = path.file_name().and_then(|file| file.to_str());
    let told = file.and_then(|file| {
        let split = file.rsplit_once('-')?.0;
        name::shard_number(file, split).map(|_| split)
    });
    let split = options.split.as_deref().or(told);
    foreign::items(path, tar, split.unwrap_or(crate::source::TRAIN))
}

/// Writes all files; their number and size in bytes.
fn write_all(out: &Path, items: &[Item<'_>]) -> Result<(u64, u64), ToolError> {
    check_distinct(out, items)?;
    make_folders(out, items)?;
    let mut progress = Progress::new("unpacking", items.len() as u64);
    let (next, (sender, receiver)) = (AtomicUsize::new(0), channel());
    let (mut num_images, mut num_bytes) = (0, 0);
    let outcome = thread::scope(|scope| {
        for _ in 0..num_threads() {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                // The receiver goes away at the first failure.
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed))
                    && sender.send(write(out, item)).is_ok()
                {}
            });
        }
        drop(sender);
        for written in receiver {
            num_bytes += written?;
            num_images += 1;
            progress.step(num_bytes);
        }
        Ok(())
    });
    progress.finish();
    outcome.map(|()| (num_images, num_bytes))
}

fn num_threads() -> usize {
    let num_processors = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (2 * num_processors).clamp(2, 32)
}

fn check_distinct(out: &Path, items: &[Item<'_>]) -> Result<(), ToolError> {
    let mut known = HashSet::with_capacity(items.len());
    match items.iter().find(|item| !known.insert(&item.path)) {
        Some(twice) => Err(ToolError::SamePath(out.join(&twice.path))),
        None => Ok(()),
    }
}

fn make_folders(out: &Path, items: &[Item<'_>]) -> Result<(), ToolError> {
    let folders: BTreeSet<&Path> = items.iter().filter_map(|item| item.path.parent()).collect();
    fs::create_dir_all(out).map_err(ToolError::write(out))?;
    for folder in folders {
        let folder = out.join(folder);
        fs::create_dir_all(&folder).map_err(ToolError::write(folder))?;
    }
    Ok(())
}

fn write(out: &Path, item: &Item<'_>) -> Result<u64, ToolError> {
    item.sample
        .map_or(Ok::<(), FormatError>(()), |sample| sample.check())?;
    let path = out.join(&item.path);
    let written = File::create_new(&path).and_then(|mut file| file.write_all(item.image));
    written.map_err(ToolError::write(path))?;
    Ok(item.image.len() as u64)
}

impl Summary {
    fn to_text(&self) -> String {
        format!(
            "unpacked {}, {:.1} MB in {:.2} s\nwhere: {out}\nnext:  shard-tool pack {out}",
            counted(self.num_images, "image"),
            self.num_bytes as f64 / 1e6,
            self.seconds,
            out = self.out,
        )
    }
}
