//! What can be wrong with a set, and where.

use serde::Serialize;

use super::shard::{Shard, Unusable};

/// Position of a sample: shard in the list of all shards, entry in its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SampleId {
    pub(super) shard: u32,
    pub(super) entry: u32,
}

/// By what a defect is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Cause {
    /// The manifest contradicts itself or the indexes.
    Manifest,
    /// A file is missing or cannot be read.
    File,
    /// A file has another size than stated.
    Size,
    /// A file has another digest than stated.
    Digest,
    /// A tar that was indexed where it lies has another time of modification than then.
    Time,
    /// An index, or an entry of it, makes no sense.
    Index,
    /// The tar has no sound header where one should be.
    Tar,
    /// A member is not what the index says.
    Member,
    /// A label has no class, or the tar has another one.
    Label,
    /// The bytes of an image have changed.
    Bytes,
    /// The image is another one than the index says.
    Header,
    /// The image cannot be decoded.
    Undecodable,
    /// The key occurs twice in a split.
    Key,
    /// The same bytes are in two classes.
    DuplicateInClasses,
    /// The same bytes are in two splits.
    DuplicateInSplits,
}

/// One thing that is wrong.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Defect {
    pub(super) cause: Cause,
    /// File name of the shard, or of what else is concerned.
    pub(super) shard: String,
    pub(super) key: Option<String>,
    /// Offset in the shard, bytes: of the image, where one is concerned.
    pub(super) offset: Option<u64>,
    pub(super) reason: String,
    #[serde(skip)]
    pub(super) sample: Option<SampleId>,
}

impl Defect {
    /// A whole file is concerned.
    pub(super) fn of_file(cause: Cause, file: &str, reason: impl Into<String>) -> Self {
        Self {
            cause,
            shard: file.to_owned(),
            key: None,
            offset: None,
            reason: reason.into(),
            sample: None,
        }
    }

    /// A file is of no use, which is to be an index or a tar.
    pub(super) fn of_unusable(file: Unusable<'_>) -> Self {
        let cause = match file.is_lacking {
            true => Cause::File,
            false => Cause::Index,
        };
        Self::of_file(cause, file.file, file.reason)
    }

    /// Bytes of a shard are concerned that belong to no sample.
    pub(super) fn at(cause: Cause, shard: &Shard<'_>, offset: u64, reason: String) -> Self {
        Self {
            offset: Some(offset),
            ..Self::of_file(cause, &shard.manifest.file, reason)
        }
    }

    /// A sample is concerned.
    pub(super) fn of_sample(cause: Cause, shard: &Shard<'_>, entry: u64, reason: String) -> Self {
        let known = shard.entry(entry);
        Self {
            key: known.map(|(_, key)| key.to_owned()),
            offset: known.map(|(entry, _)| entry.offset),
            sample: Some(SampleId {
                shard: shard.number,
                entry: entry as u32,
            }),
            ..Self::of_file(cause, &shard.manifest.file, reason)
        }
    }

    /// `train-000000.tar cat/1 offset 512: the image bytes are damaged`.
    pub(super) fn to_text(&self) -> String {
        let key = self
            .key
            .as_ref()
            .map(|key| format!(" {}", key.escape_debug()));
        let offset = self.offset.map(|offset| format!(" offset {offset}"));
        format!(
            "{}{}{}: {}",
            self.shard,
            key.unwrap_or_default(),
            offset.unwrap_or_default(),
            self.reason
        )
    }
}
