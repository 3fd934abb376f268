//! The command line, as clap sees it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::cat::CatOptions;
use crate::list::ListOptions;
use crate::split::SplitOptions;
use crate::stat::StatOptions;
use crate::threads;
use crate::unpack::UnpackOptions;
use crate::verify::VerifyOptions;

/// Packs folders of images into indexed WebDataset tar shards.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 2 usage, 3 data, 4 resources (disk full, folder in use), 75 stopped, goes on when run again.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Pack(PackOptions),
    Index(IndexOptions),
    Synth(SynthOptions),
    List(ListOptions),
    Stat(StatOptions),
    Cat(CatOptions),
    Unpack(UnpackOptions),
    Split(SplitOptions),
    Verify(VerifyOptions),
}

const ABOUT_PACK: &str = "Pack images into shards that the loader serves.

SRC is a folder SRC/{train,val}/<class>/<images> or SRC/<class>/<images> (all train) or of images alone (no \
labels); a tar of such a folder, or `-` for one on standard input; ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar and \
ILSVRC2012_devkit_t12.tar.gz as downloaded, or a folder that holds them; with --list, a list of files. Nothing is unpacked \
to disk.

Files are recognised by content (JPEG and PNG are kept), whatever they are called. The same files and the same \
options give byte-equal shards. After an interruption, the same command goes on where it was.";

const EXAMPLES_PACK: &str = "Examples:
  shard-tool pack imagenet                   imagenet/{train,val}/<class>/ -> imagenet-shards/
  shard-tool pack downloads --out shards     the archives in downloads/, as downloaded
  shard-tool pack imagenet --labels val.csv  val/ is flat; val.csv has lines `file,class`
  shard-tool pack photos --val-fraction 0.1 --resize-short 256
  shard-tool pack files.tsv --list           lines `path<tab>class`";

const ABOUT_INDEX: &str = "Index WebDataset shards where they are, so that the loader serves them.

PATTERN names tars by path, with braces as in Python: {000000..000146}, {a,b}; several patterns are joined by \
`::`. All tars of a set lie in one folder; each gets an index beside it, then the folder a manifest.json. The tars \
are only read, and must not be written into while the set is in use.

Consecutive members that differ only behind the first dot of the file name are a sample. Its image is the \
first JPEG or PNG among its .jpg, .jpeg, .png, ...; its label is the decimal text in .cls, or a field of .json.";

const EXAMPLES_INDEX: &str = "Examples:
  shard-tool index '/data/imagenet/train-{000000..000146}.tar' --classes names.txt
  shard-tool index --split train='in1k/train-{0000..1023}.tar' --split val='in1k/val-{00..63}.tar'

Exit codes: 0 done, 2 usage, 3 data, 4 resources (disk full, folder in use).";

const ABOUT_SYNTH: &str = "Make a small labelled set of JPEGs: scattered shapes with textures, each in a random pose and \
colours, among clutter.

Writes OUT/{train,val}/<class>/<class>_<number>.JPEG. A class is a shape with a texture; colours, size, \
place, rotation, lighting and clutter are drawn at random and say nothing of the class.";

const EXAMPLE_SYNTH: &str = "Example:
  shard-tool synth shapes --classes 10 --images 100 --px 96 --seed 0";

/// Pack images into shards that the loader serves.
#[derive(Debug, Args)]
#[command(long_about = ABOUT_PACK, after_help = EXAMPLES_PACK)]
pub(crate) struct PackOptions {
    /// Folder, archive, `-` or list; several are packed into one set.
    #[arg(required = true)]
    pub(crate) src: Vec<PathBuf>,
    /// Folder for the shards [default: SRC-shards].
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Close a shard before it grows beyond this many MiB.
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub(crate) shard_size: u64,
    /// Close a shard when it holds this many samples.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) samples_per_shard: Option<u64>,
    /// SRC is a list of files: lines `path[<tab>class]`, relative to the folder of the list.
    #[arg(long)]
    pub(crate) list: bool,
    /// Classes of images that lie in no class folder: a list `file,class`, the devkit, or its ground truth beside meta.mat.
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,
    /// Take only these training images: a line per image with its index (from 0, as torchvision's ImageFolder counts), its file name, or
    /// fields with commas that end with the file name.
    #[arg(long, value_name = "FILE")]
    pub(crate) subset: Option<PathBuf>,
    /// Take only this many training images of each class, drawn by --seed.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) per_class: Option<u32>,
    /// Turn what is not an ordinary JPEG (PNG, CMYK, GIF, ...) into one; the others keep their bytes.
    #[arg(long)]
    pub(crate) transcode: bool,
    /// Shrink images to this short side, in pixels; smaller ones keep their bytes.
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u32).range(1..=65_535))]
    pub(crate) resize_short: Option<u32>,
    /// Shrink images to this long side, in pixels; smaller ones keep their bytes.
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u32).range(1..=65_535))]
    pub(crate) max_side: Option<u32>,
    /// JPEG quality of images that are changed [default: 92].
    #[arg(long, value_name = "Q", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) quality: Option<u8>,
    /// Compress shards as a whole, for images that are not compressed themselves; readers unpack them into temporary files.
    #[arg(long, value_name = "zstd[:LEVEL]", value_parser = zstd_level)]
    pub(crate) compress: Option<i32>,
    /// Read everything, write nothing, and tell what would come out and what is wrong with the source.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Threads that read, and change images [default: twice the processors]; the shards are the same with any number.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(crate) workers: Option<u16>,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Seed of the order of the samples and of the choice made by --val-fraction.
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Take this part of each class as split `val`, for a SRC that has no val folder.
    #[arg(long, value_name = "F", value_parser = fraction)]
    pub(crate) val_fraction: Option<f64>,
    /// Fail, writing nothing, if any file is skipped or any class folder holds no image.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Use what comes before the damage in a damaged archive, with a warning.
    #[arg(long)]
    pub(crate) allow_damaged: bool,
    /// Replace the packed set that is in the output folder.
    #[arg(long)]
    pub(crate) overwrite: bool,
}

impl PackOptions {
    pub(crate) fn shard_bytes(&self) -> u64 {
        self.shard_size << 20
    }

    pub(crate) fn num_workers(&self) -> usize {
        self.workers.map_or_else(threads::for_files, usize::from)
    }

    pub(crate) fn shard_samples(&self) -> u64 {
        self.samples_per_shard.unwrap_or(u64::MAX)
    }
}

/// Index WebDataset shards where they are, so that the loader serves them.
#[derive(Debug, Args)]
#[command(long_about = ABOUT_INDEX, after_help = EXAMPLES_INDEX)]
pub(crate) struct IndexOptions {
    /// The shards of split `train`.
    #[arg(
        value_name = "PATTERN",
        required_unless_present = "split",
        conflicts_with = "split"
    )]
    pub(crate) pattern: Option<String>,
    /// The shards of a split; may be given again, for this split or another.
    #[arg(long, value_name = "NAME=PATTERN", value_parser = split_pattern)]
    pub(crate) split: Vec<(String, String)>,
    /// File with the names of the classes, one per line, in the order of the labels [default: the
    /// labels themselves].
    #[arg(long, value_name = "FILE")]
    pub(crate) classes: Option<PathBuf>,
    /// Take the label from this field of the .json, not from the .cls [default: .cls, else the
    /// field `label` or `cls` of the .json].
    #[arg(long, value_name = "NAME")]
    pub(crate) label_field: Option<String>,
    /// Use what comes before the damage in a damaged shard, with a warning.
    #[arg(long)]
    pub(crate) allow_damaged: bool,
    /// Replace the manifest, and any file where an index goes.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Print the summary as one line of JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Make a small labelled set of JPEGs.
#[derive(Debug, Args)]
#[command(long_about = ABOUT_SYNTH, after_help = EXAMPLE_SYNTH)]
pub(crate) struct SynthOptions {
    /// Folder for the images; must be empty or not there.
    pub(crate) out: PathBuf,
    /// Number of classes.
    #[arg(long, value_name = "C", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=i64::from(crate::synth::MAX_CLASSES)))]
    pub(crate) classes: u32,
    /// Images per class, in each of train and val.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) images: u32,
    /// Width and height in pixels.
    #[arg(long, value_name = "P", default_value_t = 96, value_parser = clap::value_parser!(u32).range(16..=1024))]
    pub(crate) px: u32,
    /// Seed; the same options give byte-equal files.
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn fraction(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value < 1.0 => Ok(value),
        _ => Err("give a number between 0 and 1, such as 0.1".to_owned()),
    }
}

fn zstd_level(text: &str) -> Result<i32, String> {
    const DEFAULT: i32 = 3;
    let level = match text.split_once(':') {
        None if text == "zstd" => Some(DEFAULT),
        Some(("zstd", level)) => level.parse().ok(),
        _ => None,
    };
    let level = level.filter(|level| (1..=22).contains(level));
    level.ok_or_else(|| "give zstd, or zstd:LEVEL with a level from 1 to 22".to_owned())
}

fn split_pattern(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((split, pattern)) if shard_format::name::is_split_name(split) => {
            Ok((split.to_owned(), pattern.to_owned()))
        }
        _ => Err(
            "give a split of lower-case letters, digits and _, and its shards: \
                  train='train-{000..146}.tar'"
                .to_owned(),
        ),
    }
}
