//! The splits of one packed data set, opened when first asked for and shared by all streams.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use shard_format::{CutShard, FormatError, Manifest, ReadOptions, ShardSet, check_room_to_unpack};

/// A packed data set.
#[derive(Debug)]
pub struct Shards {
    dir: PathBuf,
    manifest: Manifest,
    options: ReadOptions,
    opened: Mutex<BTreeMap<String, Arc<ShardSet>>>,
}

impl Shards {
    /// Opens the set in `dir` and checks that the shards of every split are those of the manifest. Damage that `options` allow is logged.
    ///
    /// # Errors
    /// When `dir` is no packed set, when its files have changed, or when there is no room to unpack those that are compressed.
    pub fn open(dir: &Path, options: ReadOptions) -> Result<Shards, FormatError> {
        let manifest = Manifest::load(dir)?;
        let shards = Shards {
            dir: dir.to_owned(),
            manifest,
            options,
            opened: Mutex::default(),
        };
        let mut num_bytes_to_unpack = 0;
        for split in shards.manifest.split_names() {
            num_bytes_to_unpack += shards.split(&split)?.num_bytes_to_unpack();
        }
        check_room_to_unpack(num_bytes_to_unpack)?;
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
        let set = Arc::new(ShardSet::open_with(&self.dir, split, self.options)?);
        tell(&set);
        opened.insert(split.to_owned(), Arc::clone(&set));
        Ok(set)
    }
}

/// Logs what a user should know of a split that was just opened.
fn tell(set: &ShardSet) {
    let split = set.split();
    let num_mib = set.num_bytes_to_unpack().div_ceil(1 << 20);
    if num_mib > 0 {
        let tmp = std::env::temp_dir();
        tracing::info!(
            "split {split}: {num_mib} MiB of compressed shards will be unpacked in {}, each when it is first read",
            tmp.display()
        );
    }
    let cut: Vec<&CutShard> = set.cut_shards().collect();
    if !cut.is_empty() {
        tracing::warn!("split {split}: {}", loss(&cut, set.num_samples()));
    }
}

/// One line: how many samples are lost, and where.
fn loss(cut: &[&CutShard], num_left: u64) -> String {
    const NUM_TOLD: usize = 3;
    let num_lost: u64 = cut.iter().map(|shard| shard.num_lost()).sum();
    let told: Vec<String> = cut
        .iter()
        .take(NUM_TOLD)
        .map(|shard| shard.to_string())
        .collect();
    let untold = match cut.len().saturating_sub(NUM_TOLD) {
        0 => String::new(),
        num_untold => format!("; and {num_untold} more shards"),
    };
    format!(
        "{num_lost} of {} samples are lost, since shards were cut short; the others are served, as was asked: {}{untold}",
        num_left + num_lost,
        told.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_is_told_in_one_line_with_its_first_places() {
        let cut = CutShard {
            file: "train-000003.tar".to_owned(),
            found_bytes: 10,
            expected_bytes: 30,
            num_good: 1,
            num_samples: 3,
            last_good: Some(("cat/1".to_owned(), 512)),
        };
        let line = loss(&[&cut; 5], 95);
        assert!(line.starts_with("10 of 105 samples are lost"), "{line}");
        assert!(line.contains("train-000003.tar has 10 of 30 bytes, and 1 of its 3 samples, the last good one cat/1 at offset 512; "), "{line}");
        assert!(
            line.ends_with("; and 2 more shards") && !line.contains('\n'),
            "{line}"
        );
    }
}
