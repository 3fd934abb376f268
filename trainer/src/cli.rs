//! The command line: what it may say, and which of its flags helps after a failure.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::checkpoint::CheckpointError;
use crate::failure::Failure;
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
    /// List name and shape of every tensor that a run may be given to start from.
    Names(NamesArgs),
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
    /// Continue the run in OUTPUT_DIR from its latest checkpoint.
    #[arg(long, conflicts_with = "overwrite")]
    pub resume: bool,
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

impl Cli {
    /// Whether there is arithmetic to do, so that libtorch's threads matter.
    pub fn computes(&self) -> bool {
        match &self.command {
            Some(Command::Bench(_)) => true,
            Some(Command::Names(_)) => false,
            None => !self.run.keys && !self.run.check,
        }
    }

    /// The flag that helps, where there is one.
    pub fn advice(failure: &Failure) -> &'static str {
        match failure {
            Failure::Config(_) => "\n  (--keys lists every key)",
            Failure::RunExists(_) => " (--resume continues it, --overwrite replaces it)",
            Failure::Checkpoint(CheckpointError::None(_)) => " (leave --resume out)",
            Failure::NotFinite { .. } => " (--resume)",
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
        match (self.resume, self.overwrite) {
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
