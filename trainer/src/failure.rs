//! Why a run ends other than by finishing, and the exit code of each case.

use std::any::Any;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};

use loader_ipc::{ErrorKind, IpcError};

use crate::checkpoint::CheckpointError;
use crate::config::ConfigError;
use crate::pretrained::error::PretrainedError;

/// Exit code of a run that was stopped by request and can be resumed.
pub const EXIT_STOPPED: i32 = 75;

/// The end of a run. Messages have the form what; where; what to do.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The folder holds a run, and nothing was said about it.
    #[error("OUTPUT_DIR holds a run already; {}; continue it, replace it, or choose another folder", .0.display())]
    RunExists(PathBuf),
    /// There is no checkpoint, or it is damaged or cannot be written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Weights that somebody saved cannot be had, or are of another network.
    #[error(transparent)]
    Pretrained(#[from] PretrainedError),
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
    #[error("{}{}", .0, setting(.0))]
    Loader(#[from] IpcError),
    /// Loss or gradient is no number any more.
    #[error(
        "{what} is no number at step {step}; {}; lower SOLVER.BASE_LR or set SOLVER.CLIP_GRAD, then continue from {}: the weights of this step \
         are not kept", report.display(), last_checkpoint(.checkpoint)
    )]
    NotFinite {
        /// Which of the step's numbers.
        what: &'static str,
        /// Step, counted from 1.
        step: u64,
        /// What is known of the step.
        report: PathBuf,
        /// The last good checkpoint.
        checkpoint: Option<PathBuf>,
    },
    /// A run that was to end at a collapse has found one; it saved first.
    #[error(
        "the network looks collapsed at step {step}, as the warning above says; saved in {}; change the recipe and start anew, or continue with \
         TRAIN.STOP_ON_COLLAPSE False", .checkpoint.display()
    )]
    Collapsed {
        /// Steps done.
        step: u64,
        /// Where the state lies.
        checkpoint: PathBuf,
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
            Failure::Checkpoint(CheckpointError::Write { .. }) => 4,
            Failure::Pretrained(PretrainedError::Write { .. }) => 4,
            Failure::Config(_) | Failure::Usage(_) => 2,
            Failure::RunExists(_) | Failure::Checkpoint(_) | Failure::Pretrained(_) => 2,
            Failure::Data(_) | Failure::NotFinite { .. } | Failure::Collapsed { .. } => 3,
            Failure::Resources(_) => 4,
            Failure::Library(_) => 5,
            Failure::Loader(error) => match error.kind() {
                ErrorKind::Usage => 2,
                ErrorKind::Data => 3,
                ErrorKind::Resources => 4,
                ErrorKind::Library => 5,
                ErrorKind::PeerLost => 6,
            },
            Failure::Stopped { .. } => EXIT_STOPPED,
        }
    }

    /// libtorch's errors reach us as panics of the bindings; anything else is a mistake of ours and panics on.
    pub fn of_panic(panic: Box<dyn Any + Send>) -> Failure {
        if let Some(libtorch) = no_memory(&*panic) {
            let advice = "lower TRAIN.BATCH_SIZE, the view sizes or DINOHead.OUTPUT_DIM";
            return Failure::Resources(format!("memory ran out; libtorch: {libtorch}; {advice}"));
        }
        let Some(libtorch) = libtorchs_line(&*panic) else {
            resume_unwind(panic);
        };
        Failure::Library(format!(
            "libtorch failed; {libtorch}; try DEVICE cpu, or report this with the configuration"
        ))
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

/// libtorch's words, if a panic says that it had no memory.
pub fn no_memory(panic: &(dyn Any + Send)) -> Option<String> {
    const WORDS: [&str; 4] = [
        "out of memory",
        "allocate memory",
        "bad_alloc",
        "ALLOC_FAILED",
    ];
    let line = libtorchs_line(panic)?;
    let is_one = WORDS.iter().any(|words| line.contains(words));
    is_one.then(|| line.to_owned())
}

/// The first line of what libtorch says in a panic of the bindings.
fn libtorchs_line(panic: &(dyn Any + Send)) -> Option<&str> {
    let text = panic.downcast_ref::<String>()?;
    let (_, message) = text.split_once("Torch(\"")?;
    let line = message.split("\\n").next().unwrap_or(message);
    Some(line.trim_end_matches("\")"))
}

/// The setting that helps where the contract's own words cannot name one.
fn setting(error: &IpcError) -> &'static str {
    match error {
        IpcError::BadSocket { .. } => " (LOADER.SOCKET)",
        _ => "",
    }
}

fn last_checkpoint(checkpoint: &Option<PathBuf>) -> String {
    match checkpoint {
        Some(path) => path.display().to_string(),
        None => "the start (no checkpoint was saved yet)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use tch::{Device, Kind, Tensor};

    use super::*;

    #[test]
    fn memory_that_libtorch_does_not_get_is_a_matter_of_resources_and_other_words_of_the_library() {
        let beyond = || Tensor::zeros([1 << 52], (Kind::Float, Device::Cpu));
        let panic = catch_unwind(beyond).unwrap_err();
        let failure = Failure::of_panic(panic);
        assert_eq!(failure.exit_code(), 4, "{failure}");
        let panic = catch_unwind(|| Tensor::zeros([2], (Kind::Float, Device::Cpu)).view([3i64]));
        let failure = Failure::of_panic(panic.unwrap_err());
        assert_eq!(failure.exit_code(), 5, "{failure}");
    }

    #[test]
    fn the_shims_panics_are_libtorchs() {
        let uneven = || {
            let [a, b] = [2, 3].map(|n| Tensor::zeros([n], (Kind::Float, Device::Cpu)));
            torch_shim::foreach::lerp_(&[a], &[b], 0.5);
        };
        let failure = Failure::of_panic(catch_unwind(uneven).unwrap_err());
        assert_eq!(failure.exit_code(), 5, "{failure}");
        assert!(failure.to_string().contains("size"), "{failure}");
    }
}
