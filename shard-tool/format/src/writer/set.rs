//! One set, written into one folder.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::finished::{FinishedShard, OpenShard};
use super::replaced::Replaced;
use super::sample::{self, NewSample};
use super::shard::ShardWriter;
use crate::error::FormatError;
use crate::folder::{self, check_holds_no_set, files_where, lock_folder, remove, write_partial};
use crate::index::VERSION;
use crate::manifest::{Manifest, SplitManifest};
use crate::name::{self, MANIFEST_FILE};

/// How to write a set.
#[derive(Debug, Clone, Copy)]
pub struct WriterOptions {
    /// A shard is closed before it would grow beyond this many bytes; a single larger sample gets a
    /// shard of its own.
    pub shard_bytes: u64,
    /// A shard is closed when it holds this many samples.
    pub shard_samples: u64,
    /// Compress whole shards with zstd at this level.
    pub zstd_level: Option<i32>,
    /// Replace a complete set. Otherwise it is refused.
    pub overwrite: bool,
}

/// Writes one set into one folder.
#[derive(Debug)]
pub struct SetWriter {
    dir: PathBuf,
    options: WriterOptions,
    manifest: Manifest,
    open: Option<OpenSplit>,
    /// Every file made so far, by final name; on disk it still has its partial name.
    made: Vec<String>,
    replaced: Replaced,
    /// Shards that an earlier writer closed, by split, until the split is begun.
    adopted: BTreeMap<String, SplitManifest>,
    /// Whether the folder was made for this set.
    made_dir: bool,
    /// Holds the lock on the folder.
    _lock: File,
}

#[derive(Debug)]
struct OpenSplit {
    name: String,
    manifest: SplitManifest,
    shard: Option<OpenShard>,
}

impl SetWriter {
    /// Starts a set in `dir`, which is made if it is not there.
    ///
    /// # Errors
    /// [`crate::Fault::Exists`] if a complete set is there and is not to be overwritten, [`crate::Fault::IndexedInPlace`] or
    /// [`crate::Fault::UnknownSet`] if its shards are, or may be, not ours to remove,
    /// [`crate::Fault::Locked`] if another process writes there, or the system's refusal.
    pub fn create(
        dir: &Path,
        classes: Vec<String>,
        options: WriterOptions,
    ) -> Result<Self, FormatError> {
        Self::resume(dir, classes, options, Vec::new())
    }

    /// Goes on with a set of which these shards are closed, as [`SetWriter::append`] and [`SetWriter::end_split`] told; they
    /// must be in `dir` ([`FinishedShard::is_in`]) and be the first ones of their splits, in order. Everything else
    /// that was left there under a temporary name is removed.
    ///
    /// # Errors
    /// As for [`SetWriter::create`].
    pub fn resume(
        dir: &Path,
        classes: Vec<String>,
        options: WriterOptions,
        finished: Vec<FinishedShard>,
    ) -> Result<Self, FormatError> {
        let made_dir = folder::make(dir)?;
        let lock = lock_folder(dir)?;
        let shards = finished.iter().map(FinishedShard::shard);
        let made: Vec<String> = shards
            .flat_map(|shard| [shard.file.clone(), shard.index_file.clone()])
            .collect();
        if !options.overwrite {
            check_holds_no_set(dir, &made)?;
        }
        let replaced = Replaced::find(dir)?;
        let kept: Vec<String> = made.iter().map(|file| name::partial_file(file)).collect();
        for file in files_where(dir, name::is_partial)? {
            if !kept.contains(&file) {
                remove(&dir.join(file))?;
            }
        }
        let manifest = Manifest {
            version: VERSION,
            classes,
            splits: Default::default(),
            indexed_in_place: None,
        };
        let mut adopted: BTreeMap<String, SplitManifest> = BTreeMap::new();
        for shard in finished {
            adopted.entry(shard.split).or_default().append(shard.part);
        }
        Ok(Self {
            dir: dir.to_owned(),
            options,
            manifest,
            open: None,
            made,
            replaced,
            adopted,
            made_dir,
            _lock: lock,
        })
    }

    /// Starts this split. Samples are numbered in the order of [`SetWriter::append`].
    ///
    /// # Panics
    /// If another split is open, or if `split` is not a split name ([`name::is_split_name`]) or was begun before.
    pub fn begin_split(&mut self, split: &str) {
        assert!(
            name::is_split_name(split),
            "`{split}` is not a name for a split"
        );
        assert!(self.open.is_none(), "the split before was ended");
        assert!(
            !self.manifest.splits.contains_key(split),
            "split `{split}` was begun before"
        );
        self.open = Some(OpenSplit {
            name: split.to_owned(),
            manifest: self.adopted.remove(split).unwrap_or_default(),
            shard: None,
        });
    }

    /// Adds a sample to the current split; returns the shard that was closed to make room for it, if one was. That shard is on
    /// disk then, and holds all samples before this one.
    ///
    /// # Errors
    /// [`crate::Fault::Unstorable`] for what the format cannot hold (nothing is written then), or the system's refusal to write;
    /// after that the shard is of no use, and the writer is to be suspended or dropped.
    ///
    /// # Panics
    /// If no split was begun.
    pub fn append(&mut self, sample: &NewSample<'_>) -> Result<Option<FinishedShard>, FormatError> {
        sample::check(sample, self.manifest.classes.len())?;
        let finished = self.make_room_for(sample)?;
        let split = self.open.as_mut().expect("a split was begun");
        let shard = match &mut split.shard {
            Some(shard) => shard,
            empty => {
                let file = name::shard_file(&split.name, split.manifest.shards.len());
                let writer = ShardWriter::create(&self.dir, file, self.options.zstd_level)?;
                self.made.push(writer.file().to_owned());
                empty.insert(OpenShard::new(writer))
            }
        };
        shard.append(sample)?;
        Ok(finished)
    }

    /// Ends the current split; returns its last shard, which is on disk then.
    ///
    /// # Errors
    /// If the shard cannot be closed.
    ///
    /// # Panics
    /// If no split was begun.
    pub fn end_split(&mut self) -> Result<Option<FinishedShard>, FormatError> {
        let finished = self.end_shard()?;
        let split = self.open.take().expect("a split was begun");
        self.manifest.splits.insert(split.name, split.manifest);
        Ok(finished)
    }

    /// Bytes of shards written so far, over all splits.
    pub fn num_bytes(&self) -> u64 {
        let ended: u64 = self
            .manifest
            .splits
            .values()
            .map(|split| split.num_bytes)
            .sum();
        let open = self.open.as_ref().map_or(0, |split| {
            split.manifest.num_bytes
                + split
                    .shard
                    .as_ref()
                    .map_or(0, |shard| shard.writer.num_bytes())
        });
        let adopted: u64 = self.adopted.values().map(|split| split.num_bytes).sum();
        ended + open + adopted
    }

    /// Gives up for now: closed shards stay for [`SetWriter::resume`].
    pub fn suspend(mut self) {
        self.leave_closed_shards();
    }

    fn leave_closed_shards(&mut self) {
        // What waits for the disk ends before its file is removed.
        self.open = None;
        let finished = self.made.clone();
        let is_unfinished = |file: &String| {
            let is_index = file.ends_with(".idx");
            !is_index && !finished.contains(&name::index_file(file))
        };
        self.made.retain(is_unfinished);
    }

    /// Gives all files their names, and writes the manifest last.
    /// A set that was there before is replaced; readers that have it mapped keep it.
    ///
    /// # Errors
    /// The system's refusal. Then no manifest is in the folder, or still the old one; a writer that is suspended then can be
    /// gone on with, and what is left of the old set is removed by the next writer that finishes there.
    ///
    /// # Panics
    /// If a split is still open, or one that was adopted was never begun.
    pub fn finish(&mut self) -> Result<Manifest, FormatError> {
        assert!(
            self.open.is_none() && self.adopted.is_empty(),
            "every split was ended"
        );
        // What needs room comes first, while the old set is whole.
        let json = self.manifest.to_json();
        write_partial(&self.dir, MANIFEST_FILE, json.as_bytes())?;
        self.replaced.note(&self.dir)?;
        let old_manifest = self.dir.join(MANIFEST_FILE);
        if old_manifest.exists() {
            remove(&old_manifest)?;
            folder::sync(&self.dir)?;
        }
        for file in &self.made {
            self.publish(file)?;
        }
        folder::sync(&self.dir)?;
        self.publish(MANIFEST_FILE)?;
        folder::sync(&self.dir)?;
        self.replaced.remove(&self.dir, &self.made)?;
        self.made.clear();
        self.made_dir = false;
        Ok(self.manifest.clone())
    }

    fn make_room_for(
        &mut self,
        sample: &NewSample<'_>,
    ) -> Result<Option<FinishedShard>, FormatError> {
        let split = self.open.as_ref().expect("a split was begun");
        let options = self.options;
        let is_full = |shard: &OpenShard| {
            shard.writer.num_bytes_with(sample) > options.shard_bytes
                || shard.counts.num_samples >= options.shard_samples
                || !shard.writer.has_room_for(sample.key)
        };
        if split.shard.as_ref().is_some_and(is_full) {
            self.end_shard()
        } else {
            Ok(None)
        }
    }

    fn end_shard(&mut self) -> Result<Option<FinishedShard>, FormatError> {
        let split = self.open.as_mut().expect("a split was begun");
        let Some(shard) = split.shard.take() else {
            return Ok(None);
        };
        let (finished, index) = shard.finish(&split.name)?;
        let index_file = &finished.shard().index_file;
        write_partial(&self.dir, index_file, &index)?;
        self.made.push(index_file.clone());
        split.manifest.append(finished.part.clone());
        Ok(Some(finished))
    }

    /// A file without a temporary name has its final one already, from a writer that was killed while it did this.
    fn publish(&self, file: &str) -> Result<(), FormatError> {
        let path = self.dir.join(file);
        if !self.dir.join(name::partial_file(file)).exists() && path.exists() {
            return Ok(());
        }
        folder::publish(&self.dir, file)
    }
}

impl Drop for SetWriter {
    /// Removes what was not finished. What cannot be removed now is removed by the next writer.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.leave_closed_shards();
        }
        let unfinished = self.made.iter().map(String::as_str).chain([MANIFEST_FILE]);
        for file in unfinished {
            drop(fs::remove_file(self.dir.join(name::partial_file(file))));
        }
        if self.made_dir {
            // Stays if it is not empty.
            drop(fs::remove_dir(&self.dir));
        }
    }
}
