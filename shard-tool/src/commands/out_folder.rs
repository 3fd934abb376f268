//! The folder that a command fills with files.
//!
//! It is filled under a hidden name beside its own (`.NAME.partial`) and gets its name when everything in it is on disk. A
//! failure and Ctrl-C remove it; what a killed run left is replaced by the next.

use std::env;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use shard_format::folder::lock_folder;
use shard_format::name;

use crate::error::ToolError;
use crate::report::output::tell;
use crate::report::progress::Progress;
use crate::system::interrupt::Interrupt;
use crate::system::threads;

/// A folder in the making.
#[derive(Debug)]
pub(crate) struct OutFolder {
    out: PathBuf,
    partial: PathBuf,
    is_published: bool,
    interrupt: Interrupt,
    /// The partial folder, and the lock on it.
    folder: File,
}

/// What is to be done by [`OutFolder::fill`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    /// `unpacking`
    pub(crate) verb: &'static str,
    pub(crate) num_files: usize,
    pub(crate) num_threads: usize,
}

/// Refuses a folder that holds something, or that could not be replaced.
///
/// # Errors
/// If it is such a folder, or the system's refusal.
pub(crate) fn check(out: &Path) -> Result<(), ToolError> {
    match fs::read_dir(out).map(|mut entries| entries.next().is_none()) {
        Ok(false) => Err(ToolError::usage(
            "the output folder is not empty",
            out.display(),
            "give another folder",
        )),
        // A shell that is in it would stay in the old one.
        Ok(true) if fs::canonicalize(out).ok() == env::current_dir().ok() => Err(ToolError::usage(
            "the output folder is the current one",
            out.display(),
            "give another, which is put in place when it is whole",
        )),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(ToolError::write(out)(error)),
        _ => Ok(()),
    }
}

impl OutFolder {
    /// Starts a folder that will be `out`, which is empty or not there.
    ///
    /// # Errors
    /// As [`check`], or if another process is filling the same folder.
    pub(crate) fn create(out: &Path) -> Result<Self, ToolError> {
        check(out)?;
        let out = resolved(out)?;
        let name = out.file_name().unwrap_or_default().to_string_lossy();
        let partial = out.with_file_name(name::partial_file(&name));
        remove_leftover(&partial)?;
        fs::create_dir(&partial).map_err(ToolError::write(&partial))?;
        Ok(Self {
            folder: lock_folder(&partial)?,
            interrupt: Interrupt::watch().map_err(ToolError::write(&partial))?,
            out,
            partial,
            is_published: false,
        })
    }

    /// Makes these folders in it.
    ///
    /// # Errors
    /// The system's refusal.
    pub(crate) fn make_folders<'f>(
        &self,
        folders: impl IntoIterator<Item = &'f Path>,
    ) -> Result<(), ToolError> {
        folders.into_iter().try_for_each(|folder| {
            let folder = self.partial.join(folder);
            fs::create_dir_all(&folder).map_err(ToolError::write(folder))
        })
    }

    /// Lets `write` write each file into the folder that it is given, on several threads; the size of all files, which `write`
    /// tells, in bytes.
    ///
    /// # Errors
    /// The first error of `write`, a request to stop, or no thread.
    pub(crate) fn fill(
        &self,
        work: Work,
        write: impl Fn(&Path, usize) -> Result<u64, ToolError> + Sync,
    ) -> Result<u64, ToolError> {
        let mut progress = Progress::new(work.verb, work.num_files as u64);
        let (next, (sender, receiver)) = (AtomicUsize::new(0), channel());
        let next_file = || {
            let number = next.fetch_add(1, Ordering::Relaxed);
            (number < work.num_files && !self.interrupt.is_wanted()).then_some(number)
        };
        let filled = thread::scope(|scope| -> Result<u64, ToolError> {
            // It lives in here, so that nobody goes on writing when no thread can be started.
            let receiver = receiver;
            for _ in 0..work.num_threads {
                let (sender, next_file, write) = (sender.clone(), &next_file, &write);
                threads::start(scope, move || {
                    // The receiver goes away at the first failure.
                    while let Some(number) = next_file()
                        && sender.send(write(&self.partial, number)).is_ok()
                    {}
                })?;
            }
            drop(sender);
            receiver.into_iter().try_fold(0, |num_bytes, written| {
                let num_bytes = num_bytes + written?;
                progress.step(num_bytes);
                Ok(num_bytes)
            })
        });
        progress.finish();
        match filled {
            Ok(_) if self.interrupt.is_wanted() => {
                let remedy = "run the same command again (nothing was left there)";
                Err(ToolError::stopped(&self.out, remedy))
            }
            filled => filled,
        }
    }

    /// Waits until all of it is on disk and gives it its name.
    ///
    /// # Errors
    /// The system's refusal.
    pub(crate) fn publish(mut self) -> Result<(), ToolError> {
        let synced = rustix::fs::syncfs(&self.folder);
        synced.map_err(|errno| ToolError::write(&self.partial)(errno.into()))?;
        fs::rename(&self.partial, &self.out).map_err(ToolError::write(&self.out))?;
        self.is_published = true;
        let parent = self.out.parent().unwrap_or(Path::new("/"));
        let synced = File::open(parent).and_then(|parent| parent.sync_all());
        synced.map_err(ToolError::write(parent))
    }
}

impl Drop for OutFolder {
    /// Removes what did not become whole. What cannot be removed now is removed by the next run.
    fn drop(&mut self) {
        if !self.is_published {
            drop(fs::remove_dir_all(&self.partial));
        }
    }
}

/// The path through the folders that there are, without links; those that it lies in are made.
fn resolved(out: &Path) -> Result<PathBuf, ToolError> {
    let resolved = fs::canonicalize(out).or_else(|_| {
        let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        fs::create_dir_all(parent)?;
        let name = out.file_name().ok_or(ErrorKind::InvalidFilename)?;
        Ok(fs::canonicalize(parent)?.join(name))
    });
    resolved.map_err(ToolError::write(out))
}

fn remove_leftover(partial: &Path) -> Result<(), ToolError> {
    if !partial.exists() {
        return Ok(());
    }
    // Who is still filling it holds the lock.
    let _lock = lock_folder(partial)?;
    fs::remove_dir_all(partial).map_err(ToolError::write(partial))?;
    tell!(
        "note: removed what a run that was killed had left in {}",
        partial.display()
    );
    Ok(())
}
