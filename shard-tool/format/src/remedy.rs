//! What to do about a set that is not as it was: it depends on how the set was made.

use std::fmt;

/// What to do about a missing or damaged file of a set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Remedy {
    /// The set was packed.
    #[default]
    CopyOrPack,
    /// The shards were there before the set was: nobody can make this one again.
    Copy,
    /// The shards were there, and only index and manifest are to be made again, by this command.
    Reindex(Box<str>),
}

impl fmt::Display for Remedy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CopyOrPack => write!(formatter, "copy it again or pack the set again"),
            Self::Copy => write!(formatter, "copy it again"),
            Self::Reindex(command) => write!(formatter, "index the set again: {command}"),
        }
    }
}
