//! The command line, as clap sees it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::cat::CatOptions;
use crate::list::ListOptions;
use crate::split::SplitOptions;
use crate::stat::StatOptions;
use crate::unpack::UnpackOptions;
use crate::verify::VerifyOptions;

/// Packs folders of images into indexed WebDataset tar shards.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str =
    "Exit codes: 0 done, 2 usage, 3 data, 4 resources (disk full, folder in use).";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Pack(PackOptions),
    Synth(SynthOptions),
    List(ListOptions),
    Stat(StatOptions),
    Cat(CatOptions),
    Unpack(UnpackOptions),
    Split(SplitOptions),
    Verify(VerifyOptions),
}

const ABOUT_PACK: &str = "Pack a folder of class folders into shards that the loader serves.

SRC is SRC/{train,val}/<class>/<images> or SRC/<class>/<images>; the latter is all train. Files are \
recognised by content (JPEG and PNG are kept), whatever they are called. The same files and the same \
options give byte-equal shards.";

const ABOUT_SYNTH: &str = "Make a small labelled set of JPEGs: shapes with textures in random poses, \
colours and clutter.

Writes OUT/{train,val}/<class>/<class>_<number>.JPEG. A class is a shape with a texture; colours, size, \
place, rotation, lighting and clutter are drawn at random and say nothing of the class.";

/// Pack a folder of class folders into shards that the loader serves.
#[derive(Debug, Args)]
#[command(long_about = ABOUT_PACK)]
pub(crate) struct PackOptions {
    /// Folder with the images.
    pub(crate) src: PathBuf,
    /// Folder for the shards [default: SRC-shards].
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Close a shard before it grows beyond this many MiB.
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub(crate) shard_size: u64,
    /// Seed of the order of the samples and of the choice made by --val-fraction.
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(crate) seed: u64,
    /// Take this part of each class as split `val`, for a SRC that has no val folder.
    #[arg(long, value_name = "F", value_parser = fraction)]
    pub(crate) val_fraction: Option<f64>,
    /// Fail, writing nothing, if any file is skipped or any class folder holds no image.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Replace the packed set that is in the output folder.
    #[arg(long)]
    pub(crate) overwrite: bool,
}

/// Make a small labelled set of JPEGs.
#[derive(Debug, Args)]
#[command(long_about = ABOUT_SYNTH)]
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
}

pub(crate) fn fraction(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value < 1.0 => Ok(value),
        _ => Err("give a number between 0 and 1, such as 0.1".to_owned()),
    }
}
