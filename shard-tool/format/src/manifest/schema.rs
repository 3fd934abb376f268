//! What a manifest says: the classes, and of each split its shards with sizes, counts and digests.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::in_place::IndexedInPlace;
use crate::sample::ImageHeader;

/// The content of `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Format version of the set.
    pub version: u32,
    /// Class names, escaped as in keys; a label is a position in this list.
    pub classes: Vec<String>,
    /// The splits by name (`train`, `val`).
    pub splits: BTreeMap<String, SplitManifest>,
    /// The shards were there before and were only indexed, like this: nothing of ours may remove them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indexed_in_place: Option<IndexedInPlace>,
}

/// One split of a set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitManifest {
    /// Samples in all shards.
    pub num_samples: u64,
    /// Those among them without label.
    pub num_unlabelled: u64,
    /// Size of all shards, bytes.
    pub num_bytes: u64,
    /// Samples by image kind ([`crate::ImageKind::name`]).
    pub kinds: BTreeMap<String, u64>,
    /// Samples by colour model ([`crate::ColourModel::name`]).
    pub colours: BTreeMap<String, u64>,
    /// The shards, in the order in which samples are numbered.
    pub shards: Vec<ShardManifest>,
}

/// One shard and its index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardManifest {
    /// File name of the tar: a plain name, usually `<split>-<number>.tar`.
    pub file: String,
    /// Its samples.
    pub num_samples: u64,
    /// Its size, bytes; of the tar in it, if it is compressed.
    pub num_bytes: u64,
    /// Size of the file, bytes, if it is compressed with zstd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zstd_bytes: Option<u64>,
    /// XXH3-64 of the tar, 16 hexadecimal digits.
    pub xxh3: String,
    /// File name of the index: that of the tar with `.idx` in place of `.tar`.
    pub index_file: String,
    /// Size of the index, bytes.
    pub index_bytes: u64,
    /// XXH3-64 of the index, 16 hexadecimal digits.
    pub index_xxh3: String,
}

impl SplitManifest {
    /// Counts one more sample; its shard is added when it is closed.
    pub fn count(&mut self, header: &ImageHeader, is_labelled: bool) {
        self.num_samples += 1;
        self.num_unlabelled += u64::from(!is_labelled);
        add(&mut self.kinds, header.kind.name(), 1);
        add(&mut self.colours, header.colour.name(), 1);
    }

    /// Size of the tars of all compressed shards.
    pub fn num_bytes_to_unpack(&self) -> u64 {
        let compressed = self
            .shards
            .iter()
            .filter(|shard| shard.zstd_bytes.is_some());
        compressed
            .map(|shard| shard.num_bytes)
            .fold(0, u64::saturating_add)
    }

    /// Adds what another part of the split has, after what is there.
    pub fn append(&mut self, other: Self) {
        self.num_samples += other.num_samples;
        self.num_unlabelled += other.num_unlabelled;
        self.num_bytes += other.num_bytes;
        let counts = other.kinds.iter();
        counts.for_each(|(name, more)| add(&mut self.kinds, name, *more));
        let counts = other.colours.iter();
        counts.for_each(|(name, more)| add(&mut self.colours, name, *more));
        self.shards.extend(other.shards);
    }

    /// Adds a shard whose samples were counted.
    pub fn push(&mut self, shard: ShardManifest) {
        self.num_bytes += shard.num_bytes;
        self.shards.push(shard);
    }
}

fn add(counts: &mut BTreeMap<String, u64>, name: &str, more: u64) {
    match counts.get_mut(name) {
        Some(count) => *count += more,
        None => drop(counts.insert(name.to_owned(), more)),
    }
}
