//! Where the bytes of an image are, and what tells their state from another.

use std::fs::{File, Metadata};
use std::io;
use std::path::PathBuf;

use shard_format::modified_ns;

/// An archive, open.
#[derive(Debug)]
pub(crate) struct Archive {
    pub(crate) file: File,
    /// Its state when it was listed.
    pub(crate) listed: Stamp,
    /// What tells its content from another, also in a later run.
    pub(crate) identity: Stamp,
}

/// A range of bytes of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    pub(crate) offset: u64,
    pub(crate) num_bytes: u64,
}

/// Where the bytes of a candidate are.
#[derive(Debug, Clone)]
pub(crate) enum Location<'a> {
    File(PathBuf),
    Member { archive: &'a Archive, span: Span },
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stamp {
    pub(crate) num_bytes: u64,
    pub(crate) changed_ns: i64,
}

impl Archive {
    /// One whose time of change tells nothing, such as a copied stream, has a digest instead.
    pub(crate) fn new(file: File, digest: Option<u64>) -> io::Result<Self> {
        let listed = Stamp::of(&file.metadata()?);
        let identity = Stamp {
            changed_ns: digest.map_or(listed.changed_ns, u64::cast_signed),
            ..listed
        };
        Ok(Self {
            file,
            listed,
            identity,
        })
    }
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            num_bytes: metadata.len(),
            changed_ns: modified_ns(metadata),
        }
    }

    /// The stamp that reading there would give; that of nothing if there is nothing.
    pub(crate) fn at(location: &Location<'_>) -> Self {
        match location {
            Location::File(path) => {
                std::fs::metadata(path).map_or(Self::default(), |found| Self::of(&found))
            }
            Location::Member { archive, span } => Self::of_member(archive, *span),
        }
    }

    pub(crate) fn of_member(archive: &Archive, span: Span) -> Self {
        Self {
            num_bytes: span.num_bytes,
            ..archive.identity
        }
    }
}
