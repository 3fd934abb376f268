//! The splits of a data set, one or several packed sets, opened when first asked for and shared by all streams.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::samples::Samples;
use shard_format::{CutShard, FormatError, Manifest, ReadOptions, ShardSet, check_room_to_unpack};

/// A data set: one folder that was packed, or several as one.
#[derive(Debug)]
pub struct Shards {
    folders: Vec<Folder>,
    options: ReadOptions,
    opened: Mutex<BTreeMap<String, Arc<Samples>>>,
}

#[derive(Debug)]
struct Folder {
    dir: PathBuf,
    manifest: Manifest,
}

impl Shards {
    /// Opens the sets in `dirs`, of which there is at least one, and checks that the shards of every split are those of the manifest. Damage that
    /// `options` allow is logged.
    ///
    /// # Errors
    /// When one is no packed set, when its files have changed, or when there is no room to unpack those that are compressed.
    pub fn open(dirs: &[PathBuf], options: ReadOptions) -> Result<Shards, FormatError> {
        let folder = |dir: &PathBuf| {
            let manifest = Manifest::load(dir)?;
            let dir = dir.clone();
            Ok(Folder { dir, manifest })
        };
        let shards = Shards {
            folders: dirs
                .iter()
                .map(folder)
                .collect::<Result<_, FormatError>>()?,
            options,
            opened: Mutex::default(),
        };
        let mut num_bytes_to_unpack = 0;
        for split in shards.split_names() {
            let samples = shards.split(&split)?;
            num_bytes_to_unpack += samples
                .sets()
                .map(ShardSet::num_bytes_to_unpack)
                .sum::<u64>();
        }
        check_room_to_unpack(num_bytes_to_unpack)?;
        Ok(shards)
    }

    /// The folders.
    pub fn dirs(&self) -> impl Iterator<Item = &PathBuf> {
        self.folders.iter().map(|folder| &folder.dir)
    }

    /// Names of the splits that any folder has.
    pub fn split_names(&self) -> Vec<String> {
        let folders = self.folders.iter();
        let names: BTreeSet<String> = folders
            .flat_map(|folder| folder.manifest.split_names())
            .collect();
        names.into_iter().collect()
    }

    /// The samples of `split`, of those folders that have it.
    ///
    /// # Errors
    /// When there is no such split, or its files changed.
    pub fn split(&self, split: &str) -> Result<Arc<Samples>, FormatError> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(samples) = opened.get(split) {
            return Ok(Arc::clone(samples));
        }
        let has_split = |folder: &&Folder| folder.manifest.splits.contains_key(split);
        let mut having: Vec<&Folder> = self.folders.iter().filter(has_split).collect();
        if having.is_empty() {
            // It says what there is instead.
            having.extend(self.folders.first());
        }
        let open = |folder: &&Folder| ShardSet::open_with(&folder.dir, split, self.options);
        let sets: Vec<ShardSet> = having.iter().map(open).collect::<Result<_, _>>()?;
        sets.iter().for_each(tell);
        let samples = Arc::new(Samples::of(sets));
        opened.insert(split.to_owned(), Arc::clone(&samples));
        Ok(samples)
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
