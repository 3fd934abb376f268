//! Why a command failed: what; where; what to do. Whoever meets a failure describes it in full. This file knows the exit codes, and
//! which of our options help where the format, which knows none, has failed.

use std::fmt::Display;
use std::io;
use std::path::Path;

use shard_format::{ErrorKind, Fault, FormatError, Remedy};

/// The failure of a command.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ToolError {
    kind: Kind,
    message: String,
    /// What the system said, if it was asked.
    system: Option<io::ErrorKind>,
}

/// What kind of failure it is; the number is the exit code.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Usage = 2,
    Data = 3,
    Resources = 4,
    Stopped = 75,
}

impl ToolError {
    /// What was asked for cannot be.
    pub(crate) fn usage(what: impl Display, place: impl Display, remedy: impl Display) -> Self {
        Self::new(Kind::Usage, what, place, remedy)
    }

    /// Files are not what they should be.
    pub(crate) fn data(what: impl Display, place: impl Display, remedy: impl Display) -> Self {
        Self::new(Kind::Data, what, place, remedy)
    }

    /// Room, threads or descriptors are lacking.
    pub(crate) fn resources(what: impl Display, place: impl Display, remedy: impl Display) -> Self {
        Self::new(Kind::Resources, what, place, remedy)
    }

    /// Somebody wanted an end.
    pub(crate) fn stopped(place: &Path, remedy: &str) -> Self {
        let what = "stopped on request";
        Self::new(Kind::Stopped, what, place.display(), remedy)
    }

    fn new(kind: Kind, what: impl Display, place: impl Display, remedy: impl Display) -> Self {
        Self {
            kind,
            message: format!("{what}; {place}; {remedy}"),
            system: None,
        }
    }

    /// For `map_err` on a read of `path`.
    pub(crate) fn read(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        move |error| FormatError::read(path.as_ref())(error).into()
    }

    /// For `map_err` on a write of `path`.
    pub(crate) fn write(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        move |error| FormatError::write(path.as_ref())(error).into()
    }

    pub(crate) fn exit_code(&self) -> u8 {
        self.kind as u8
    }

    /// Whether the disk, or the user's share of it, is full.
    pub(crate) fn is_disk_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self.system, Some(StorageFull | QuotaExceeded))
    }

    /// Whether nobody reads what is written.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        self.system == Some(io::ErrorKind::BrokenPipe)
    }
}

/// Whether the system opens no more files.
pub(crate) fn is_lack_of_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE))
}

impl From<FormatError> for ToolError {
    fn from(error: FormatError) -> Self {
        let kind = match error.kind() {
            ErrorKind::Usage => Kind::Usage,
            ErrorKind::Data => Kind::Data,
            ErrorKind::Resources => Kind::Resources,
        };
        let (first, last) = options_for(&error);
        let remedy = format_args!("{first}{}{last}", error.remedy());
        Self {
            system: error.system(),
            ..Self::new(kind, error.what(), error.place(), remedy)
        }
    }
}

/// What our options can do about it: words before the remedy, and after it.
fn options_for(error: &FormatError) -> (&'static str, String) {
    let place = error.place();
    let last = match (error.fault(), error.remedy()) {
        (_, Remedy::Reindex(dir)) => format!(": {}", again(dir)),
        (Fault::NotPacked, _) => format!(": shard-tool pack {place}"),
        (Fault::NotIndexed, _) => {
            format!(": shard-tool index '{place}/NAME-{{000000..000146}}.tar'")
        }
        (Fault::Exists, _) => " (--out, --overwrite)".to_owned(),
        (Fault::Indexed | Fault::NotOurIndex, _) => " (--overwrite)".to_owned(),
        (Fault::IndexedInPlace | Fault::UnknownSet, _) => " (--out)".to_owned(),
        (Fault::TooManyMappings, _) => " (--shard-size)".to_owned(),
        _ => String::new(),
    };
    let first = match error.fault() {
        Fault::ShardCut => "to do without the rest: loader serve --allow-damaged; else ",
        _ => "",
    };
    (first, last)
}

/// The command that indexes the set in this folder again, for a POSIX shell.
pub(crate) fn again(dir: &Path) -> String {
    let dir = dir.to_string_lossy().replace('\'', r"'\''");
    format!("shard-tool index --again '{dir}'")
}
