//! The command line, and from the end of a run to an exit code.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::device;
use crate::failure::{EXIT_STOPPED, Failure};
use crate::output::tell;
use crate::run;

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

/// Parses, runs, says how it ended.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if !cli.keys && !cli.check {
        device::restart_with_short_spins();
    }
    let ended = catch_unwind(AssertUnwindSafe(|| run::run(&cli)));
    let failure = match ended {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(failure)) => failure,
        Err(panic) => library_failure(panic),
    };
    let code = failure.exit_code();
    if code == EXIT_STOPPED {
        tell!("{failure}");
    } else {
        tell!("error[{code}]: {failure}");
    }
    ExitCode::from(code as u8)
}

/// libtorch's errors reach us as panics of the bindings; anything else is a mistake of ours and panics on.
fn library_failure(panic: Box<dyn std::any::Any + Send>) -> Failure {
    let text = panic
        .downcast_ref::<String>()
        .map_or("", String::as_str)
        .to_owned();
    let Some((_, message)) = text.split_once("Torch(\"") else {
        resume_unwind(panic);
    };
    let first_line = message.split("\\n").next().unwrap_or(message);
    if first_line.contains("out of memory") || first_line.contains("allocate memory") {
        let advice = "lower TRAIN.BATCH_SIZE, the view sizes or DINOHead.OUTPUT_DIM, then --resume";
        return Failure::Resources(format!("memory ran out; libtorch: {first_line}; {advice}"));
    }
    Failure::Library(format!(
        "libtorch failed; {first_line}; try DEVICE cpu, or report this with the configuration"
    ))
}
