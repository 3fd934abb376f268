//! What is to be written where, and what is not.

use std::fmt;
use std::path::PathBuf;

use shard_format::Sample;

use crate::error::ToolError;

/// A file to be written.
#[derive(Debug)]
pub(super) struct Item<'a> {
    /// Below OUT.
    pub(super) path: PathBuf,
    pub(super) content: Content<'a>,
}

#[derive(Debug)]
pub(super) enum Content<'a> {
    /// Of a set; its bytes are checked on the way.
    Sample(Sample<'a>),
    /// Of a tar without index.
    Bytes(&'a [u8]),
}

/// A member whose path leads out of the folder, or that is no file.
pub(super) fn refused(
    tar: impl fmt::Display,
    member: &str,
    offset: u64,
    problem: &str,
) -> ToolError {
    ToolError::data(
        format_args!("a member is refused: `{member}`: {problem}"),
        format_args!("{tar} offset {offset}"),
        "unpack it with another program if you trust it (nothing was written)",
    )
}
