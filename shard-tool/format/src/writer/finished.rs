//! A shard with what is counted of its samples: while they come in, and when it is closed.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::NewSample;
use super::shard::ShardWriter;
use crate::FormatError;
use crate::folder::holds_shard;
use crate::manifest::{ShardManifest, SplitManifest, count};

/// A shard that is closed and on disk, and what is in it: all that [`SetWriter::resume`](crate::SetWriter::resume) needs to adopt it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishedShard {
    /// The split it belongs to.
    pub split: String,
    /// The shard and its index.
    pub shard: ShardManifest,
    /// Samples without label.
    pub num_unlabelled: u64,
    /// Samples by image kind.
    pub kinds: BTreeMap<String, u64>,
    /// Samples by colour model.
    pub colours: BTreeMap<String, u64>,
}

impl FinishedShard {
    /// Whether shard and index are in `dir` as they were when they were closed (sizes and digest of the index are compared).
    pub fn is_in(&self, dir: &Path) -> bool {
        holds_shard(dir, &self.shard)
    }

    pub(super) fn add_to(&self, split: &mut SplitManifest) {
        split.add(&self.shard, self.num_unlabelled, &self.kinds, &self.colours);
    }
}

/// The shard that samples go into, and what it holds so far.
#[derive(Debug)]
pub(super) struct OpenShard {
    pub(super) writer: ShardWriter,
    pub(super) num_samples: u64,
    num_unlabelled: u64,
    kinds: BTreeMap<String, u64>,
    colours: BTreeMap<String, u64>,
}

impl OpenShard {
    pub(super) fn new(writer: ShardWriter) -> Self {
        Self {
            writer,
            num_samples: 0,
            num_unlabelled: 0,
            kinds: BTreeMap::new(),
            colours: BTreeMap::new(),
        }
    }

    pub(super) fn append(&mut self, sample: &NewSample<'_>) -> Result<(), FormatError> {
        self.writer.append(sample)?;
        self.num_samples += 1;
        self.num_unlabelled += u64::from(sample.label.is_none());
        count(&mut self.kinds, sample.header.kind.name(), 1);
        count(&mut self.colours, sample.header.colour.name(), 1);
        Ok(())
    }

    /// Closes the shard; also returns the bytes of its index, which is not on disk yet.
    pub(super) fn finish(self, split: &str) -> Result<(FinishedShard, Vec<u8>), FormatError> {
        let (shard, index) = self.writer.finish()?;
        let finished = FinishedShard {
            split: split.to_owned(),
            shard,
            num_unlabelled: self.num_unlabelled,
            kinds: self.kinds,
            colours: self.colours,
        };
        Ok((finished, index))
    }
}
