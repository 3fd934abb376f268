//! Why a run ends other than by finishing, and the exit code of each case.

use std::path::{Path, PathBuf};

use loader_ipc::IpcError;

use crate::config::ConfigError;

/// Exit code of a run that was stopped by request and can be resumed.
pub const EXIT_STOPPED: i32 = 75;

/// The end of a run. Messages have the form what; where; what to do.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The command line, or a folder it names, is not usable as asked.
    #[error("{0}")]
    Usage(String),
    /// The data set cannot be trained on.
    #[error("{0}")]
    Data(String),
    /// The machine lacks something: disk, permissions.
    #[error("{0}")]
    Resources(String),
    /// CUDA or libtorch does not work.
    #[error("{0}")]
    Library(String),
    /// The loader refused, stopped or died.
    #[error("{0}")]
    Loader(#[from] IpcError),
    /// The loss is not a number any more.
    #[error(
        "the loss is {loss} at step {step} (samples {sample_ids:?}); the weights of this step are not kept; lower SOLVER.BASE_LR or set \
         SOLVER.CLIP_GRAD, then continue from {}", last_checkpoint(.checkpoint)
    )]
    NotFinite {
        /// The value.
        loss: f64,
        /// Step, counted from 1.
        step: u64,
        /// Images of the batch.
        sample_ids: Vec<u64>,
        /// The last good checkpoint.
        checkpoint: Option<PathBuf>,
    },
    /// A signal asked the run to stop; it saved first.
    #[error("stopped at step {step}; saved in {}; continue with: {resume_command}", .checkpoint.display())]
    Stopped {
        /// Steps done.
        step: u64,
        /// Where the state lies.
        checkpoint: PathBuf,
        /// What to type.
        resume_command: String,
    },
}

impl Failure {
    /// The process's exit code: 2 usage or configuration, 3 data, 4 resources, 5 library, 6 peer lost, 75 stopped.
    pub fn exit_code(&self) -> i32 {
        match self {
            Failure::Config(_) | Failure::Usage(_) => 2,
            Failure::Data(_) | Failure::NotFinite { .. } => 3,
            Failure::Resources(_) => 4,
            Failure::Library(_) => 5,
            Failure::Loader(error) => error.exit_code(),
            Failure::Stopped { .. } => EXIT_STOPPED,
        }
    }

    /// Wraps a system error: what was tried, on which file, what to do.
    pub fn io<'a>(what: &'a str, path: &'a Path) -> impl FnOnce(std::io::Error) -> Failure + 'a {
        move |error| {
            let remedy = match error.raw_os_error() {
                Some(libc::EAGAIN) => "raise the limit of processes (ulimit -u)",
                Some(libc::EMFILE | libc::ENFILE) => "raise the limit of open files (ulimit -n)",
                Some(libc::EFBIG) => "raise the limit of a file's size (ulimit -f)",
                _ => "check space and permissions",
            };
            let path = path.display();
            Failure::Resources(format!("{what} failed: {error}; {path}; {remedy}"))
        }
    }
}

fn last_checkpoint(checkpoint: &Option<PathBuf>) -> String {
    match checkpoint {
        Some(path) => format!("{} with --resume", path.display()),
        None => "the start (no checkpoint was saved yet)".to_owned(),
    }
}
