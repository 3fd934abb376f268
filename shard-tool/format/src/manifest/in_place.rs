//! What is kept of sets whose shards were there before them: how they were indexed, and when each tar was last written to.
//!
//! Packed sets keep neither, so that the same input gives the same bytes and copies are as good as originals.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use serde::{Deserialize, Serialize};

/// How tars that were there were made a set, and what they were like then.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexedInPlace {
    /// The tars of each split, as patterns relative to the folder, joined by `::`.
    pub patterns: BTreeMap<String, String>,
    /// The list of classes, absolute or relative to the folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<String>,
    /// The field of the `.json` that holds the label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_field: Option<String>,
    /// Whether damaged tars were accepted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_damaged: bool,
    /// When each tar was last written to, ns since 1970, by file name.
    #[serde(default)]
    pub modified_ns: BTreeMap<String, i64>,
}

impl IndexedInPlace {
    /// The times of modification of this tar, as noted and as found, ns since 1970, where they differ.
    pub(crate) fn differing_times(&self, file: &str, found: &Metadata) -> Option<[i64; 2]> {
        let times = [*self.modified_ns.get(file)?, modified_ns(found)];
        (times[0] != times[1]).then_some(times)
    }
}

/// Time of modification, ns since 1970, as [`IndexedInPlace::modified_ns`] has it.
pub fn modified_ns(metadata: &Metadata) -> i64 {
    metadata
        .mtime()
        .saturating_mul(1_000_000_000)
        .saturating_add(metadata.mtime_nsec())
}
