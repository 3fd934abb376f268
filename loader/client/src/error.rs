//! Why there is no loader for a data set. Flags and commands that help are for whoever shows the error to add.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use loader_ipc::{ErrorKind, IpcError, Reason};

/// Why there is no loader.
#[derive(Debug)]
pub enum AttachError {
    /// The folder of the data set is missing.
    NoFolder {
        /// The folder.
        dir: PathBuf,
    },
    /// The folder of the data set holds no manifest.
    NotPacked {
        /// The folder.
        dir: PathBuf,
    },
    /// There is nothing to start.
    NoProgram {
        /// Where it should be.
        path: PathBuf,
    },
    /// The daemon ended at its start.
    Died {
        /// How.
        status: ExitStatus,
        /// Where it writes its log.
        log: PathBuf,
        /// The last lines of it.
        last_lines: Vec<String>,
    },
    /// The daemon does not answer, or keeps its socket without doing so.
    Silent {
        /// The socket.
        socket: PathBuf,
        /// Where it writes its log.
        log: PathBuf,
    },
    /// Whoever waited wanted to wait no longer.
    Interrupted,
    /// The loader at a socket that was named serves another data set.
    OtherData {
        /// The socket.
        socket: PathBuf,
        /// What it serves.
        served: Vec<String>,
        /// What was wanted.
        wanted: Vec<PathBuf>,
    },
    /// What answers is no use.
    Ipc(IpcError),
    /// The system refused something.
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl AttachError {
    /// Of what kind it is. A daemon's own exit code tells which case its end is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            AttachError::NoFolder { .. }
            | AttachError::NotPacked { .. }
            | AttachError::NoProgram { .. }
            | AttachError::OtherData { .. } => ErrorKind::Usage,
            AttachError::Died { status, .. } => match status.code() {
                Some(2) => ErrorKind::Usage,
                Some(3) => ErrorKind::Data,
                Some(5) => ErrorKind::Library,
                _ => ErrorKind::Resources,
            },
            AttachError::Silent { .. } | AttachError::Io { .. } => ErrorKind::Resources,
            AttachError::Interrupted => ErrorKind::PeerLost,
            AttachError::Ipc(error) => error.kind(),
        }
    }

    /// What, where, and what to do.
    pub fn reason(&self) -> Reason {
        let new = |what: String, place: String, remedy: &str| {
            Reason::new(self.kind(), what, place, remedy)
        };
        match self {
            AttachError::NoFolder { dir } => new(
                "no such folder".to_owned(),
                dir.display().to_string(),
                "give a folder made by `shard-tool pack`",
            ),
            AttachError::NotPacked { dir } => new(
                "this folder is not packed (it has no manifest.json)".to_owned(),
                dir.display().to_string(),
                &format!("run: shard-tool pack {0} --out {0}-shards", dir.display()),
            ),
            AttachError::NoProgram { path } => new(
                "no loader answers and there is none to start".to_owned(),
                sought(path),
                "build it (cargo build --release -p loader) or start one",
            ),
            AttachError::Died {
                status,
                log,
                last_lines,
            } => new(
                format!("the loader ended at its start ({status})"),
                log.display().to_string(),
                &format!("it said:\n  {}", last_lines.join("\n  ")),
            ),
            AttachError::Silent { socket, log } => new(
                format!("the loader at {} does not answer", socket.display()),
                log.display().to_string(),
                "read its log",
            ),
            AttachError::Interrupted => new("interrupted".to_owned(), String::new(), ""),
            AttachError::OtherData {
                socket,
                served,
                wanted,
            } => new(
                format!("the loader at this socket serves {}", served.join(", ")),
                socket.display().to_string(),
                &format!("name another socket for {}", shown(wanted)),
            ),
            AttachError::Ipc(error) => error.reason(),
            AttachError::Io { what, path, source } => {
                new(format!("{what}: {source}"), path.display().to_string(), "")
            }
        }
    }
}

/// Where a program was looked for.
fn sought(path: &Path) -> String {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => {
            format!("{}, in no folder of PATH", path.display())
        }
        _ => path.display().to_string(),
    }
}

fn shown(dirs: &[PathBuf]) -> String {
    let dirs: Vec<_> = dirs.iter().map(|dir| dir.display().to_string()).collect();
    dirs.join(", ")
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason().fmt(f)
    }
}

impl std::error::Error for AttachError {}

impl From<IpcError> for AttachError {
    fn from(error: IpcError) -> AttachError {
        AttachError::Ipc(error)
    }
}
