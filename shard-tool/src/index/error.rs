//! Why shards could not be indexed: what; where; what to do.

use std::path::PathBuf;

use shard_format::members::{Damage, Fault};
use shard_format::pattern::PatternError;

use crate::report::last_good;

/// The failure of `shard-tool index`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IndexError {
    #[error(
        "the pattern cannot be expanded: {source}; `{pattern}`; write it like 'train-{{000000..000146}}.tar'"
    )]
    Pattern {
        pattern: String,
        source: PatternError,
    },
    #[error(
        "only files of this machine can be indexed; `{url}`; download the shards first, then give their path"
    )]
    NotLocal { url: String },
    #[error(
        "the shards lie in two folders; {} and {}; move them into one folder, or index each by itself",
        first.display(), other.display()
    )]
    TwoFolders { first: PathBuf, other: PathBuf },
    #[error(
        "a shard is missing ({num_missing} of {num_shards}); {}; download it, or correct the pattern",
        path.display()
    )]
    MissingShard {
        path: PathBuf,
        num_missing: usize,
        num_shards: usize,
    },
    #[error("a shard is listed twice; {}; name it in one split only", .0.display())]
    ListedTwice(PathBuf),
    #[error(
        "a shard may not be called this; {}; give a plain UTF-8 name that does not begin with a dot",
        .0.display()
    )]
    ShardName(PathBuf),
    #[error(
        "the name of a member is not UTF-8; {} at offset {offset}: {name}; \
         rename that file and write the shard again",
        shard.display()
    )]
    MemberName {
        shard: PathBuf,
        offset: u64,
        name: String,
    },
    #[error(
        "the tar is damaged: {}; {} at offset {}, {}; {}",
        damage.fault, shard.display(), damage.offset, last_good(damage.last_good.as_ref()), what_to_do(damage)
    )]
    Damaged { shard: PathBuf, damage: Damage },
    #[error("the list of classes is unusable: {problem}; {}; give one name per line", path.display())]
    Classes { path: PathBuf, problem: String },
    #[error(
        "label {label} has no class, there are {num_classes}; {} key {} at offset {offset}; \
         name all classes in a file (--classes)",
        shard.display(), key.escape_debug()
    )]
    LabelWithoutClass {
        label: u64,
        num_classes: usize,
        shard: PathBuf,
        key: String,
        offset: u64,
    },
    #[error("no sample with a JPEG or PNG image; {}; check the pattern, and what was skipped above", .0.display())]
    NoSample(PathBuf),
}

impl IndexError {
    /// 2 usage, 3 data.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Pattern { .. }
            | Self::NotLocal { .. }
            | Self::TwoFolders { .. }
            | Self::ListedTwice(_)
            | Self::ShardName(_)
            | Self::Classes { .. } => 2,
            _ => 3,
        }
    }
}

fn what_to_do(damage: &Damage) -> &'static str {
    match damage.fault {
        Fault::Compressed => "decompress it first",
        _ => "copy the shard again, or use what is before with --allow-damaged",
    }
}
