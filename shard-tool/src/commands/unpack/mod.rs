//! `shard-tool unpack`: from a set, or any tar, back to a folder of class folders.
//!
//! Every path is decided and judged before the first file is written. Files are written on several
//! threads, each path once, and OUT gets its name when all of them are on disk.

mod foreign;
mod item;
mod place;

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use shard_format::{MappedFile, ShardSet, name};

use super::out_folder::{self, OutFolder, Work};
use super::set;
use crate::error::ToolError;
use crate::report::counts::counted;
use crate::report::output;
use crate::source::splits::TRAIN;
use crate::system::threads;
use item::{Content, Item};

const ABOUT: &str = "Write the images of a set, or of any tar, as files.

Writes OUT/<split>/<class>/<file> with the bytes as they were packed. Files get the names that they had \
before they were packed, with the extension of their content (.jpg or .png); packing OUT again with \
the same options gives the same shards, as long as all images have labels, or none has. A name that would lead \
elsewhere is kept in its escaped form. OUT gets its name when all files are on disk.

Images without label go into the class folder `unlabelled`, which packing takes for a class; where train is all \
that is unpacked and has no labels at all, they go into OUT itself, which packing takes for images without labels. \
Images of a set that was indexed in place (shard-tool index) go into the folder of their label.

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

/// Unpacks and prints the summary.
pub(crate) fn run(options: &UnpackOptions) -> Result<(), ToolError> {
    let started = Instant::now();
    out_folder::check(&options.out)?;
    let (num_images, num_bytes) = if options.set_or_shard.is_file() {
        let tar = MappedFile::open(&options.set_or_shard)?;
        write_all(&options.out, &of_tar(options, &tar)?)?
    } else {
        let splits = set::open(&options.set_or_shard, options.split.as_deref())?;
        set::check_room(splits.iter().map(ShardSet::num_bytes_to_unpack))?;
        write_all(&options.out, &of_set(&splits)?)?
    };
    let (out, seconds) = (options.out.display(), started.elapsed().as_secs_f64());
    let json = serde_json::json!({
        "out": out.to_string(), "num_images": num_images, "num_bytes": num_bytes, "seconds": seconds,
    });
    let (images, megabytes) = (counted(num_images, "image"), num_bytes as f64 / 1e6);
    let text = format!(
        "unpacked {images}, {megabytes:.1} MB in {seconds:.2} s\nwhere: {out}\nnext:  shard-tool pack {out}\n"
    );
    output::print(|output| output.either(options.json, &json, &text))
}

fn split_name(text: &str) -> Result<String, String> {
    match name::is_split_name(text) {
        true => Ok(text.to_owned()),
        false => Err("a split is called by lower-case letters, digits and _".to_owned()),
    }
}

fn of_set(splits: &[ShardSet]) -> Result<Vec<Item<'_>>, ToolError> {
    let has_classes = !is_train_without_labels(splits);
    let mut items = Vec::new();
    for split in splits {
        for sample in split.samples() {
            let sample = sample?;
            let key = set::packed_key(split, &sample);
            let path = match has_classes {
                true => place::path_of(split.split(), key.as_bytes(), sample.header.kind),
                false => place::path_without_class(key.as_bytes(), sample.header.kind),
            };
            let path = path.map_err(|problem| {
                item::refused(sample.shard, sample.key, sample.offset, problem)
            })?;
            items.push(Item {
                path,
                content: Content::Sample(sample),
            });
        }
    }
    Ok(items)
}

/// Whether this is what packing makes of a folder of images alone.
fn is_train_without_labels(splits: &[ShardSet]) -> bool {
    let [split] = splits else { return false };
    let counts = &split.manifest().splits[split.split()];
    split.split() == TRAIN && counts.num_unlabelled == counts.num_samples
}

fn of_tar<'a>(options: &UnpackOptions, tar: &'a [u8]) -> Result<Vec<Item<'a>>, ToolError> {
    let path = &options.set_or_shard;
    let file = path.file_name().and_then(|file| file.to_str());
    let told = file.and_then(|file| {
        let split = file.rsplit_once('-')?.0;
        name::shard_number(file, split).map(|_| split)
    });
    let split = options.split.as_deref().or(told);
    foreign::items(path, tar, split.unwrap_or(TRAIN))
}

/// Writes all files; their number and size in bytes.
fn write_all(out: &Path, items: &[Item<'_>]) -> Result<(u64, u64), ToolError> {
    check_distinct(out, items)?;
    let folder = OutFolder::create(out)?;
    let folders: BTreeSet<&Path> = items.iter().filter_map(|item| item.path.parent()).collect();
    folder.make_folders(folders)?;
    let work = Work {
        verb: "unpacking",
        num_files: items.len(),
        num_threads: threads::for_files(),
    };
    let num_bytes = folder.fill(work, |partial, number| write(partial, &items[number]))?;
    folder.publish()?;
    Ok((items.len() as u64, num_bytes))
}

fn check_distinct(out: &Path, items: &[Item<'_>]) -> Result<(), ToolError> {
    let mut known = HashSet::with_capacity(items.len());
    match items.iter().find(|item| !known.insert(&item.path)) {
        Some(twice) => Err(ToolError::data(
            "two images would become the same file",
            out.join(&twice.path).display(),
            "unpack splits or shards apart (nothing was written)",
        )),
        None => Ok(()),
    }
}

fn write(out: &Path, item: &Item<'_>) -> Result<u64, ToolError> {
    let image = match item.content {
        Content::Bytes(bytes) => bytes,
        Content::Sample(sample) => {
            sample.check()?;
            sample.image()?
        }
    };
    let path = out.join(&item.path);
    let written = File::create_new(&path).and_then(|mut file| file.write_all(image));
    written.map_err(ToolError::write(path))?;
    Ok(image.len() as u64)
}
