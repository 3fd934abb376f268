//! Why a set cannot be read or written. People read what, where and what to do; programs ask for the [`Fault`] and its
//! [`ErrorKind`]. It knows no program: which option helps is for whoever shows the error to say.

use std::fmt::{self, Display};
use std::io;
use std::path::{Path, PathBuf};

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// What was asked for would destroy something.
    Usage,
    /// The files are not what they should be.
    Data,
    /// Room, descriptors, mappings, a lock or permission is lacking.
    Resources,
}

/// What is wrong with a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// There is no manifest, and nothing to make a set of.
    NoSet,
    /// The folder holds images but no manifest.
    NotPacked,
    /// The folder holds tars but no manifest.
    NotIndexed,
    /// The manifest is damaged, contradicts itself, or is of another version.
    Manifest,
    /// The set has no split of that name.
    UnknownSplit,
    /// A file named by the manifest is not there.
    MissingFile,
    /// A file has another size, or was written to, since the manifest was made.
    Changed,
    /// A shard is shorter than it was; some of its samples may be there.
    ShardCut,
    /// An index is damaged, of another version, or of another shard.
    Index,
    /// The index says that an image lies outside of its shard.
    OutOfShard,
    /// The bytes of an image are not those that were packed.
    Image,
    /// A compressed shard does not hold what it should.
    Compressed,
    /// Compressed shards cannot be unpacked, usually for lack of room.
    CannotUnpack,
    /// The system refuses one more mapping; each shard takes two.
    TooManyMappings,
    /// No sample has that number.
    NoSuchSample,
    /// The folder holds a set, or shards of one, already.
    Exists,
    /// The folder has a manifest already.
    Indexed,
    /// A file has the name that an index needs, and is none.
    NotOurIndex,
    /// The set in the folder consists of shards that were indexed where they lie.
    IndexedInPlace,
    /// Whether the set in the folder may be replaced cannot be told.
    UnknownSet,
    /// Another process is writing into the folder.
    Locked,
    /// What was handed to the writer cannot be stored.
    Unstorable,
    /// The operating system refused to read.
    Read,
    /// The operating system refused to write.
    Write,
    /// The operating system opens no more files.
    TooManyFiles,
}

impl Fault {
    /// What kind of failure it is.
    pub fn kind(self) -> ErrorKind {
        match self {
            Self::Exists
            | Self::Indexed
            | Self::NotOurIndex
            | Self::IndexedInPlace
            | Self::UnknownSet => ErrorKind::Usage,
            Self::CannotUnpack
            | Self::TooManyMappings
            | Self::Locked
            | Self::Write
            | Self::TooManyFiles => ErrorKind::Resources,
            _ => ErrorKind::Data,
        }
    }
}

/// What to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// What the text says.
    Do(String),
    /// Copy the file again, or pack the set again.
    CopyOrPack,
    /// Copy the file again: the shard was there before the set was, nobody can make it again.
    Copy,
    /// Make index and manifest of the set in this folder again, whose shards were there before it.
    Reindex(PathBuf),
}

/// Why a set could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {place}; {remedy}")]
pub struct FormatError {
    fault: Fault,
    what: String,
    place: String,
    remedy: Remedy,
    system: Option<io::ErrorKind>,
}

impl FormatError {
    pub(crate) fn new(
        fault: Fault,
        what: impl Display,
        place: impl Display,
        remedy: impl Into<Remedy>,
    ) -> Self {
        Self {
            fault,
            what: what.to_string(),
            place: place.to_string(),
            remedy: remedy.into(),
            system: None,
        }
    }

    /// What is wrong, for programs.
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.fault.kind()
    }

    /// What is wrong, for people.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The folder, file or sample concerned.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// What to do.
    pub fn remedy(&self) -> &Remedy {
        &self.remedy
    }

    /// What the system said, if it was asked.
    pub fn system(&self) -> Option<io::ErrorKind> {
        self.system
    }

    /// Gives the advice that fits the set, where it is the one for sets of any sort.
    pub(crate) fn advise(mut self, advice: &Remedy) -> Self {
        if self.remedy == Remedy::CopyOrPack {
            self.remedy = advice.clone();
        }
        self
    }

    /// For `map_err` on a read of `path`.
    pub fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| {
            let remedy = "check the path and its permissions";
            Self::of_system(Fault::Read, "read", path, remedy, &error)
        }
    }

    /// For `map_err` on a write of `path`.
    pub fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| {
            let remedy = "check free space and permissions";
            Self::of_system(Fault::Write, "write", path, remedy, &error)
        }
    }

    fn of_system(fault: Fault, verb: &str, path: &Path, remedy: &str, error: &io::Error) -> Self {
        use rustix::io::Errno;
        let (fault, remedy) = match Errno::from_io_error(error) {
            Some(Errno::MFILE | Errno::NFILE) => (
                Fault::TooManyFiles,
                "let the process open more files: ulimit -n",
            ),
            Some(Errno::FBIG) => (fault, "let the process write larger files: ulimit -f"),
            _ => (fault, remedy),
        };
        let what = format!("cannot {verb}: {error}");
        Self {
            system: Some(error.kind()),
            ..Self::new(fault, what, path.display(), remedy)
        }
    }
}

impl From<&str> for Remedy {
    fn from(text: &str) -> Self {
        Self::Do(text.to_owned())
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Do(text) => text,
            Self::CopyOrPack => "copy it again or pack the set again",
            Self::Copy => "copy it again",
            Self::Reindex(_) => "index the set again",
        })
    }
}
