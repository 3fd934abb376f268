//! The options of `shard-tool pack`.

use std::path::PathBuf;

use clap::Args;

use crate::commands::values::fraction;
use crate::packing::read_ahead::ReadOptions;
use crate::packing::transcode::{DEFAULT_QUALITY, Transcode};
use crate::system::threads;

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

    fn num_workers(&self) -> usize {
        self.workers.map_or_else(threads::for_files, usize::from)
    }

    pub(crate) fn shard_samples(&self) -> u64 {
        self.samples_per_shard.unwrap_or(u64::MAX)
    }

    /// What is to be changed in every image.
    pub(crate) fn transcode(&self) -> Transcode {
        Transcode {
            to_jpeg: self.transcode,
            resize_short: self.resize_short,
            max_side: self.max_side,
            quality: self.quality.unwrap_or(DEFAULT_QUALITY),
        }
    }

    pub(crate) fn read_options(&self) -> ReadOptions {
        ReadOptions {
            transcode: self.transcode(),
            num_threads: self.num_workers(),
        }
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
