//! The splits of one packed data set, opened when first asked for and shared by all streams.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use shard_format::{FormatError, Manifest, ShardSet};

/// A packed data set.
#[derive(Debug)]
pub struct Shards {
    dir: PathBuf,
    manifest: Manifest,
    opened: Mutex<BTreeMap<String, Arc<ShardSet>>>,
}

impl Shards {
    /// Opens the set in `dir`, checking every split's shards against the manifest.
    ///
    /// # Errors
    /// When `dir` is no packed set, or its files are not those that were packed.
    pub fn open(dir: &Path) -> Result<Shards, FormatError> {
        let manifest = Manifest::load(dir)?;
        let shards = Shards {
            dir: dir.to_owned(),
            manifest,
            opened: Mutex::default(),
        };
        for split in shards.manifest.split_names() {
            shards.split(&split)?;
        }
        Ok(shards)
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Names of the splits.
    pub fn split_names(&self) -> Vec<String> {
        self.manifest.split_names()
    }

    /// The samples of `split`.
    ///
    /// # Errors
    /// When there is no such split, or its files changed.
    pub fn split(&self, split: &str) -> Result<Arc<ShardSet>, FormatError> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(set) = opened.get(split) {
            return Ok(Arc::clone(set));
        }
        let set = Arc::new(ShardSet::open(&self.dir, split)?);
        let num_unpacked_mib = set.num_unpacked_bytes().div_ceil(1 << 20);
        if num_unpacked_mib > 0 {
            let tmp = std::env::temp_dir();
            tracing::info!(
                "split {split}: {num_unpacked_mib} MiB of compressed shards are unpacked in {}",
                tmp.display()
            );
        }
        opened.insert(split.to_owned(), Arc::clone(&set));
        Ok(set)
    }
}
