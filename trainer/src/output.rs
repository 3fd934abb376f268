//! What a person reads: the lines of a run on standard output, warnings and errors on standard error.
//!
//! Showing is never worth a run. A line that cannot be written (its reader went away, the terminal died, the disk behind a
//! redirection is full) is lost, and training goes on; that lines are lost is told once. Where standard error is dead as well,
//! warnings and errors go to `trainer.log` in the run's folder. Nothing here knows what it prints.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// The file that stands in for a dead standard error, once there is a run.
static LOG: OnceLock<PathBuf> = OnceLock::new();
/// Whether it was told that standard output is dead.
static IS_LOSS_TOLD: AtomicBool = AtomicBool::new(false);

/// The stand-in's place in a run's folder.
pub fn log_path(run_dir: &Path) -> PathBuf {
    run_dir.join("trainer.log")
}

/// Names the run's folder; the first one counts, and a process has one run.
pub fn log_to(run_dir: &Path) {
    let _ = LOG.set(log_path(run_dir));
}

/// Shows a line of the run; as `println!`, which panics where nobody reads.
macro_rules! show {
    ($($line:tt)*) => {
        $crate::output::show_line(format_args!($($line)*))
    };
}

/// Tells a warning or an error; as `eprintln!`, which panics where nobody reads.
macro_rules! tell {
    ($($line:tt)*) => {
        $crate::output::tell_line(format_args!($($line)*))
    };
}
pub(crate) use {show, tell};

pub(crate) fn show_line(line: fmt::Arguments<'_>) {
    if let Err(error) = writeln!(io::stdout(), "{line}")
        && !IS_LOSS_TOLD.swap(true, Ordering::Relaxed)
    {
        tell!(
            "warning: standard output takes no more lines ({error}); training goes on; metrics.jsonl has the numbers"
        );
    }
}

/// As the macro `tell`, for the binary.
pub fn tell_line(line: fmt::Arguments<'_>) {
    let line = format!("{line}\n");
    if io::stderr().write_all(line.as_bytes()).is_err()
        && let Some(path) = LOG.get()
    {
        // No place is left to tell that this fails too.
        let _ = append(path, &line);
    }
}

/// Prints the result of a command that only prints; that nobody reads the rest (`| head`) is no error.
///
/// # Errors
/// When standard output refuses it.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(line.as_bytes())
}
