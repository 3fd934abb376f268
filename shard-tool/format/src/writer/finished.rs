//! A shard with what is counted of its samples: while they come in, and when it is closed.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::sample::NewSample;
use super::shard::ShardWriter;
use crate::error::FormatError;
use crate::folder::holds_shard;
use crate::manifest::{ShardManifest, SplitManifest};

/// A shard that is closed and on disk, and what is in it: all that [`SetWriter::resume`](crate::SetWriter::resume) needs to adopt it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishedShard {
    /// The split it belongs to.
    pub split: String,
    /// What it adds to the split: itself, and the counts of its samples.
    pub part: SplitManifest,
}

impl FinishedShard {
    /// The shard and its index.
    ///
    /// # Panics
    /// If there is none, which no writer makes.
    pub fn shard(&self) -> &ShardManifest {
        &self.part.shards[0]
    }

    /// Whether shard and index are in `dir` as they were when they were closed (sizes and digest of the index are compared).
    pub fn is_in(&self, dir: &Path) -> bool {
        self.part.shards.iter().all(|shard| holds_shard(dir, shard))
    }
}

/// The shard that samples go into, and what it holds so far.
#[derive(Debug)]
pub(super) struct OpenShard {
    pub(super) writer: ShardWriter,
    pub(super) counts: SplitManifest,
}

impl OpenShard {
    pub(super) fn new(writer: ShardWriter) -> Self {
        Self {
            writer,
            counts: SplitManifest::default(),
        }
    }

    pub(super) fn append(&mut self, sample: &NewSample<'_>) -> Result<(), FormatError> {
        self.writer.append(sample)?;
        self.counts.count(&sample.header, sample.label.is_some());
        Ok(())
    }

    /// Closes the shard; also returns the bytes of its index, which is not on disk yet.
    pub(super) fn finish(self, split: &str) -> Result<(FinishedShard, Vec<u8>), FormatError> {
        let (shard, index) = self.writer.finish()?;
        let mut part = self.counts;
        part.push(shard);
        let split = split.to_owned();
        Ok((FinishedShard { split, part }, index))
    }
}
