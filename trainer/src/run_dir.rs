//! The folder of a run: made, locked, and never mixed up with another run.
//!
//! It holds `metrics.jsonl`, `tensorboard/`, `checkpoints/`, `curves.png`, `recipe.json`, `result.json` (of a classifier), `loader.log` (of a
//! loader of our own), `trainer.log` (where standard error died), `non-finite/` (of steps without a finite loss) and `run.lock`. Only these are ever removed.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::failure::Failure;
use crate::output::tell;
use crate::{checkpoint, metrics, non_finite, output};

/// What to do about a run that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Refuse to touch it.
    Refuse,
    /// Continue it.
    Resume,
    /// Remove it.
    Overwrite,
}

/// A folder that this process owns; the lock ends with the process.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    _lock: File,
}

impl RunDir {
    /// Makes and locks the folder.
    ///
    /// # Errors
    /// When another process owns it, or it holds a run that nothing was said about.
    pub fn open(path: &Path, existing: Existing) -> Result<RunDir, Failure> {
        fs::create_dir_all(path).map_err(Failure::io("making OUTPUT_DIR", path))?;
        let lock = lock(path)?;
        let dir = RunDir {
            path: path.to_owned(),
            _lock: lock,
        };
        if existing == Existing::Overwrite {
            dir.clear()?;
        }
        if existing == Existing::Refuse && dir.holds_a_run() {
            return Err(Failure::RunExists(path.to_owned()));
        }
        Ok(dir)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where checkpoints lie.
    pub fn checkpoints(&self) -> PathBuf {
        checkpoints(&self.path)
    }

    fn holds_a_run(&self) -> bool {
        let has_lines = fs::metadata(metrics::path(&self.path)).is_ok_and(|meta| meta.len() > 0);
        has_lines || !checkpoint::list(&self.checkpoints()).is_empty()
    }

    fn clear(&self) -> Result<(), Failure> {
        for name in ["checkpoints", "tensorboard", non_finite::FOLDER] {
            let dir = self.path.join(name);
            if dir.exists() {
                fs::remove_dir_all(&dir).map_err(Failure::io("removing the old run", &dir))?;
            }
        }
        let files = [
            metrics::path(&self.path),
            self.path.join("curves.png"),
            result_path(&self.path),
            output::log_path(&self.path),
        ];
        for file in files {
            if file.exists() {
                fs::remove_file(&file).map_err(Failure::io("removing the old run", &file))?;
            }
        }
        Ok(())
    }
}

/// Where a classifier's result goes.
pub fn result_path(dir: &Path) -> PathBuf {
    dir.join("result.json")
}

/// Where the checkpoints of a run lie.
pub fn checkpoints(run: &Path) -> PathBuf {
    run.join("checkpoints")
}

/// An advisory lock; the file names its owner for whoever comes second.
fn lock(dir: &Path) -> Result<File, Failure> {
    let path = dir.join("run.lock");
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false);
    let mut file = options
        .open(&path)
        .map_err(Failure::io("opening the lock of OUTPUT_DIR", &path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Err(owned(&mut file, &path)),
        Err(error) => tell!(
            "warning: the file system locks no file ({error}); {}; see to it that no second trainer writes there",
            path.display()
        ),
    }
    file.set_len(0)
        .and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()))
        .map_err(Failure::io("writing the lock of OUTPUT_DIR", &path))?;
    Ok(file)
}

fn owned(lock: &mut File, path: &Path) -> Failure {
    let mut owner = String::new();
    if let Err(error) = lock.read_to_string(&mut owner) {
        return Failure::io("reading the lock of OUTPUT_DIR", path)(error);
    }
    Failure::Usage(format!(
        "another trainer writes to this folder (pid {}); {}; stop it or choose another OUTPUT_DIR",
        owner.trim(),
        path.with_file_name("").display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_a_run_is_refused_unless_told_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let file = metrics::path(dir.path());
        fs::write(&file, "{}\n").unwrap();
        let refused = RunDir::open(dir.path(), Existing::Refuse).unwrap_err();
        assert_eq!(refused.exit_code(), 2);
        assert!(matches!(refused, Failure::RunExists(_)), "{refused}");
        drop(RunDir::open(dir.path(), Existing::Resume).unwrap());
        assert!(file.exists());
        drop(RunDir::open(dir.path(), Existing::Overwrite).unwrap());
        assert!(!file.exists());
        RunDir::open(dir.path(), Existing::Refuse).unwrap();
    }

    #[test]
    fn a_second_run_in_the_same_folder_is_told_the_owner() {
        let dir = tempfile::tempdir().unwrap();
        let first = RunDir::open(dir.path(), Existing::Refuse).unwrap();
        let refused = RunDir::open(dir.path(), Existing::Refuse).unwrap_err();
        assert!(
            refused
                .to_string()
                .contains(&format!("pid {}", std::process::id()))
        );
        drop(first);
        RunDir::open(dir.path(), Existing::Refuse).unwrap();
    }
}
