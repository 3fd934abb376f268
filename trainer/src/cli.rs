//! The command line: what it may say, and which of its flags helps after a failure.

use std::path::PathBuf;

use clap::Parser;

use crate::checkpoint::CheckpointError;
use crate::failure::Failure;
use crate::run_dir::Existing;

/// Trains a network without labels on the views that a loader serves.
#[derive(Debug, Clone, Parser)]
#[command(name = "trainer", version)]
pub struct Cli {
    /// Configuration file (YAML).
    #[arg(long, value_name = "FILE", required_unless_present = "keys")]
    pub cfg: Option<PathBuf>,
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
    /// Settings that override the file: KEY.SUBKEY VALUE ... Numbers, truths and lists are written as in Python, a text is taken
    /// as it is, and None is no text.
    #[arg(value_name = "KEY VALUE", allow_negative_numbers = true)]
    pub pairs: Vec<String>,
}

impl Cli {
    /// The configuration file; empty where there is none to read.
    pub fn config_path(&self) -> PathBuf {
        self.cfg.clone().unwrap_or_default()
    }

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
        let path = self.config_path().display().to_string();
        let mut words = vec![program, "--cfg".to_owned(), path, "--resume".to_owned()];
        words.extend(self.pairs.iter().cloned());
        let quoted: Vec<String> = words.into_iter().map(quoted).collect();
        quoted.join(" ")
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

/// A word as a shell takes it.
fn quoted(word: String) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
