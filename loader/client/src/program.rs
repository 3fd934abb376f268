//! The program that is started where no loader answers, and its log.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::fs::{FlockOperation, flock};

use crate::error::AttachError;

/// Lines of the log that are shown when a loader fails.
const NUM_SHOWN: usize = 12;

/// What runs `loader` when arguments of `loader` are added.
#[derive(Debug, Clone)]
pub struct Program {
    /// The executable.
    pub path: PathBuf,
    /// What comes before the arguments of `loader`.
    pub args: Vec<OsString>,
}

/// The log of a daemon that is about to start. As long as this lives nobody else starts one with this log.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    _turn: File,
}

impl Program {
    /// Starts a daemon that ends with its last user, in a process group of its own so that Ctrl-C reaches only us.
    pub(crate) fn start(
        &self,
        data: &[PathBuf],
        socket: &Path,
        log: &Log,
    ) -> Result<Child, AttachError> {
        if !self.path.is_file() {
            let path = self.path.clone();
            return Err(AttachError::NoProgram { path });
        }
        let output = log.empty()?;
        let errors = output.try_clone();
        let errors = errors.map_err(failed("writing the loader's log", &log.path))?;
        let mut command = Command::new(&self.path);
        command.args(&self.args).arg("serve").args(data);
        command.arg("--socket").arg(socket).arg("--until-unused");
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let started = command.process_group(0).spawn();
        started.map_err(failed("starting the loader", &self.path))
    }
}

impl Log {
    /// The log at `path`, whose folder is made where it is missing; `None` while somebody else starts a daemon with it.
    pub(crate) fn take(path: &Path) -> Result<Option<Log>, AttachError> {
        let opened = make_folder(path).and_then(|()| open(path));
        let turn = opened.map_err(failed("writing the loader's log", path))?;
        let path = path.to_owned();
        let is_ours = flock(&turn, FlockOperation::NonBlockingLockExclusive).is_ok();
        Ok(is_ours.then_some(Log { path, _turn: turn }))
    }

    /// Opened anew: the daemon must not hold our lock.
    fn empty(&self) -> Result<File, AttachError> {
        let opened = open(&self.path).and_then(|file| file.set_len(0).map(|()| file));
        opened.map_err(failed("writing the loader's log", &self.path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn last_lines(&self) -> Vec<String> {
        let text = fs::read(&self.path).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines[lines.len().saturating_sub(NUM_SHOWN)..].to_vec()
    }
}

fn make_folder(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.is_dir() => {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)
        }
        _ => Ok(()),
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600).open(path)
}

fn failed<'a>(
    what: &'static str,
    path: &'a Path,
) -> impl FnOnce(std::io::Error) -> AttachError + use<'a> {
    move |source| AttachError::Io {
        what,
        path: path.to_owned(),
        source,
    }
}
