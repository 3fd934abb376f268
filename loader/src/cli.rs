//! The command line of `loader`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use image_decode::DEFAULT_PIXEL_LIMIT;

/// Decodes images, makes multi-crop views, and publishes them through shared memory.
#[derive(Debug, Parser)]
#[command(name = "loader", version, about, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 2 usage, 3 data, 4 resources, 5 library, 6 no daemon.\n\
    Log level: RUST_LOG=warn|info|debug (default info).";

const SERVE_HELP: &str = "Example: loader serve /data/imagenet-shards\n\n\
    Ctrl-C, SIGTERM, SIGUSR1, SIGUSR2 and a terminal that closes (SIGHUP, unless started with nohup) drain: every subscriber is told, and \
    the daemon ends once all are gone. A second Ctrl-C or SIGTERM ends it at once.";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve a packed data set until stopped.
    #[command(after_help = SERVE_HELP)]
    Serve(ServeArgs),
    /// Show a daemon's subscribers, rates and waits.
    #[command(after_help = "Example: loader status /data/imagenet-shards")]
    Status(StatusArgs),
    /// Draw a contact sheet of the views that a recipe makes.
    #[command(after_help = "Example: loader preview /data/imagenet-shards --out views.png")]
    Preview(PreviewArgs),
    /// Compare what an NVIDIA card decodes with what the CPU does.
    #[command(after_help = "Example: loader parity /data/imagenet-shards --images 1000")]
    Parity(ParityArgs),
}

/// Arguments of `loader serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Folder that `shard-tool pack` wrote. Several are served as one data set: samples one after another, classes of one name as one class.
    #[arg(value_name = "SHARDS", required = true)]
    pub data: Vec<PathBuf>,
    /// Where to listen [default: one per user and data set].
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Threads that decode and augment [default: the cores this process may use].
    #[arg(long, value_name = "N")]
    pub workers: Option<usize>,
    /// What makes the views: the card where there is one that works, or one of the two for certain.
    #[arg(long, value_enum, value_name = "WHERE", default_value_t = DecoderChoice::Auto)]
    pub decoder: DecoderChoice,
    /// Slots of a subscriber that does not choose the number itself. A slot is shared memory for one batch.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub slots: u32,
    /// Refuse images with more pixels than this.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_PIXEL_LIMIT)]
    pub max_pixels: u64,
    /// The daemon stops when more than this share of a split's samples is bad. Eight are always allowed, unless it is 0.
    #[arg(long, value_name = "F", default_value_t = 0.001)]
    pub max_bad_fraction: f64,
    /// Serve shards that were cut short without the samples that are lost. A warning tells how many. The other samples are numbered anew, so
    /// epochs are shorter than with the whole set, and in another order.
    #[arg(long)]
    pub allow_damaged: bool,
    /// Stop when the last one who is connected leaves, or if nobody comes within a minute. Programs that share the daemon they start use it.
    #[arg(long)]
    pub until_unused: bool,
}

/// What `--decoder` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DecoderChoice {
    /// A card if there is one, else the CPU; one line says which, and why.
    Auto,
    /// A card; without one the daemon ends with 5.
    Gpu,
    /// The CPU.
    Cpu,
}

/// Arguments of `loader status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The data set whose default socket to ask; all folders of one that was made of several.
    #[arg(value_name = "SHARDS", required_unless_present = "socket")]
    pub data: Vec<PathBuf>,
    /// The socket to ask.
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `loader parity`.
#[derive(Debug, Args)]
pub struct ParityArgs {
    /// Folder that `shard-tool pack` wrote; several are one data set, as for `serve`.
    #[arg(value_name = "SHARDS", required = true)]
    pub data: Vec<PathBuf>,
    /// Split to take the images from.
    #[arg(long, value_name = "NAME", default_value = "train")]
    pub split: String,
    /// How many images, drawn from all of the split.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub images: u64,
    /// Print JSON for programs.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `loader preview`.
#[derive(Debug, Args)]
pub struct PreviewArgs {
    /// Folder that `shard-tool pack` wrote; several are one data set, as for `serve`.
    #[arg(value_name = "SHARDS", required = true)]
    pub data: Vec<PathBuf>,
    /// The picture to write (PNG).
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Recipe in JSON, as the trainer writes it beside its metrics [default: SSLight's for CNNs].
    #[arg(long, value_name = "FILE")]
    pub recipe: Option<PathBuf>,
    /// Split to take the images from.
    #[arg(long, value_name = "NAME", default_value = "train")]
    pub split: String,
    /// Rows of the sheet.
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub images: u64,
    /// Show these samples, and tell their keys and what their views were drawn as.
    #[arg(
        long,
        value_name = "ID,ID",
        value_delimiter = ',',
        conflicts_with = "images"
    )]
    pub ids: Vec<u64>,
    /// Seed of the order and of the views.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Epoch whose order and views are shown.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub epoch: u32,
}
