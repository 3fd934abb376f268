//! The command line: what it may say, and which of its flags helps after a failure.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::checkpoint::CheckpointError;
use crate::config::DeviceChoice;
use crate::failure::Failure;
use crate::model::backbone::Arch;
use crate::pretrained::error::PretrainedError;
use crate::pretrained::layout::Layout;
use crate::pretrained::names::Which;
use crate::resume::ResumeFrom;
use crate::run_dir::Existing;

/// Trains a network without labels on the views that a loader serves.
#[derive(Debug, Parser)]
#[command(
    name = "trainer",
    version,
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// Another job than the one that a configuration describes.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The run of a configuration.
    #[command(flatten)]
    pub run: RunArgs,
}

/// Jobs with a name of their own.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Time training steps on random views, without a loader.
    Bench(BenchArgs),
    /// Write the backbone of a checkpoint under the names of torchvision, timm or detectron2.
    Export(ExportArgs),
    /// Make weights that the reference, DINO, SwAV or MoCo saved into a file that every job here takes.
    Import(ImportArgs),
    /// List name and shape of every tensor that a run may be given to start from.
    Names(NamesArgs),
    /// Measure what weights are worth without training: k nearest neighbours of the validation split, in the training split and among
    /// themselves.
    Eval(EvalArgs),
    /// Write an HTML page about one or several runs: curves, recipes, nearest neighbours, attention.
    Report(ReportArgs),
    /// Tell what a run would compute on and with: libtorch, its CUDA half, the device, the loader, the limits.
    Doctor,
}

/// What a run is told.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// What to run.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Check the configuration, print it resolved, and stop.
    #[arg(long)]
    pub check: bool,
    /// Print every key with its value and where it comes from, and stop.
    #[arg(long, conflicts_with = "check")]
    pub print_config: bool,
    /// Continue the run in OUTPUT_DIR from its latest checkpoint; `--resume=auto` passes over damaged ones.
    #[arg(
        long,
        value_enum,
        value_name = "FROM",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "latest",
        conflicts_with = "overwrite"
    )]
    pub resume: Option<ResumeFrom>,
    /// Remove the run in OUTPUT_DIR and start anew.
    #[arg(long)]
    pub overwrite: bool,
    /// List every configuration key with its default, and stop.
    #[arg(long)]
    pub keys: bool,
}

/// A configuration: a file and what overrides it.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgs {
    /// Configuration file (YAML).
    #[arg(long, value_name = "FILE")]
    pub cfg: Option<PathBuf>,
    /// Settings that override the file: KEY.SUBKEY VALUE ... Numbers, truths and lists are written as in Python, a text is taken
    /// as it is, and None is no text.
    #[arg(value_name = "KEY VALUE", allow_negative_numbers = true)]
    pub pairs: Vec<String>,
}

/// What `trainer export` is told.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// A checkpoint, a run (its latest checkpoint), or a file of weights.
    #[arg(value_name = "CKPT")]
    pub checkpoint: PathBuf,
    /// The network: the one that learns, which the method evaluates, or its average.
    #[arg(long, value_enum, default_value_t = Which::Student)]
    pub which: Which,
    /// Whose names; else torchvision's, and timm's for transformers.
    #[arg(long, value_enum)]
    pub layout: Option<Layout>,
    /// The file to write (.safetensors).
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
    /// Replace the file.
    #[arg(long)]
    pub overwrite: bool,
}

/// What `trainer import` is told.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// What `torch.save` wrote, or any other file of weights.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The network: the one that learns, which the method evaluates, or its average.
    #[arg(long, value_enum, default_value_t = Which::Student)]
    pub which: Which,
    /// The backbone that it has to be; else the one that names and shapes tell.
    #[arg(long, value_enum)]
    pub arch: Option<Arch>,
    /// The file to write (.safetensors).
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
    /// Replace the file.
    #[arg(long)]
    pub overwrite: bool,
}

/// What `trainer names` is told.
#[derive(Debug, Args)]
pub struct NamesArgs {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Print one JSON object: name to shape.
    #[arg(long)]
    pub json: bool,
}

/// What `trainer bench` is told.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Images per step; as the configuration says where it is left out.
    #[arg(long, value_name = "N")]
    pub batch: Option<NonZeroU32>,
    /// Steps that are measured, after two that are not.
    #[arg(long, value_name = "N", default_value = "5")]
    pub steps: NonZeroUsize,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What `trainer eval` is told.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// Weights: a checkpoint's or a run's folder, or a file of ours or others.
    #[arg(value_name = "WEIGHTS")]
    pub weights: PathBuf,
    /// Folder of packed shards; given several times, they are one data set.
    #[arg(long, value_name = "SHARDS", required = true)]
    pub data: Vec<PathBuf>,
    /// The network to measure, where there are two.
    #[arg(long, value_enum, default_value_t = Which::Student)]
    pub which: Which,
    /// Neighbours that vote.
    #[arg(long, value_name = "K", default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..))]
    pub knn_k: i64,
    /// Side of an image in pixels [default: that of the run's global views, else 224].
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=3584))]
    pub size: Option<u32>,
    /// Images per batch.
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub batch: u32,
    /// Where the loader listens [default: the data set's own socket; where none answers, one is started].
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t = DeviceChoice::Auto)]
    pub device: DeviceChoice,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What `trainer report` is told.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Folders of runs (their OUTPUT_DIR).
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// Folder to write the page and its pictures to [default: `report` in the first run's].
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
}

impl Cli {
    /// The flag that helps, where there is one.
    pub fn advice(failure: &Failure) -> &'static str {
        match failure {
            Failure::Config(_) => "\n  (--keys lists every key)",
            Failure::RunExists(_) => " (--resume continues it, --overwrite replaces it)",
            Failure::Checkpoint(CheckpointError::None(_)) => " (leave --resume out)",
            Failure::Checkpoint(CheckpointError::Damaged { .. }) => " (--resume=auto)",
            Failure::Pretrained(PretrainedError::Exists { .. }) => " (--overwrite)",
            Failure::Pretrained(PretrainedError::NoSuchNetwork { which, .. }) => match which {
                Which::Student => " (--which teacher)",
                Which::Teacher => " (--which student)",
            },
            Failure::NotFinite { .. } | Failure::Collapsed { .. } => " (--resume)",
            _ => "",
        }
    }
}

impl ConfigArgs {
    /// The file as it is shown; empty where there is none.
    pub fn shown(&self) -> String {
        let path = self.cfg.iter();
        path.map(|path| path.display().to_string()).collect()
    }
}

impl RunArgs {
    /// What to do about a run that is there already.
    pub fn existing(&self) -> Existing {
        match (self.resume.is_some(), self.overwrite) {
            (true, _) => Existing::Resume,
            (_, true) => Existing::Overwrite,
            _ => Existing::Refuse,
        }
    }

    /// This command line with `--resume`.
    pub fn resume_command(&self) -> String {
        let program = std::env::args().next().unwrap_or("trainer".to_owned());
        let path = self.config.shown();
        let mut words = vec![program, "--cfg".to_owned(), path, "--resume".to_owned()];
        words.extend(self.config.pairs.iter().cloned());
        let quoted: Vec<String> = words.into_iter().map(quoted).collect();
        quoted.join(" ")
    }
}

/// A word as a shell takes it.
fn quoted(word: String) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
