//! One split of a packed set, open. Shared freely between threads.

use std::path::{Path, PathBuf};

use super::cut::CutShard;
use super::sample::Sample;
use super::shard::{Opening, ReadOptions, Shard, Source};
use crate::error::{Fault, FormatError, Remedy};
use crate::index::UNLABELLED;
use crate::manifest::Manifest;

/// One split of a packed set.
#[derive(Debug)]
pub struct ShardSet {
    dir: PathBuf,
    split: String,
    manifest: Manifest,
    shards: Vec<Shard>,
    num_samples: u64,
    remedy: Remedy,
}

impl ShardSet {
    /// Opens `split` of the set in `dir`, which must be whole.
    ///
    /// # Errors
    /// If there is no such set or split, or a file is missing, is not what the manifest says (a tar that was only indexed must
    /// not have been written to since), or has a damaged index header.
    pub fn open(dir: &Path, split: &str) -> Result<Self, FormatError> {
        Self::open_with(dir, split, ReadOptions::default())
    }

    /// As [`ShardSet::open`], accepting what `options` allow.
    ///
    /// # Errors
    /// As [`ShardSet::open`], but for what is accepted.
    pub fn open_with(dir: &Path, split: &str, options: ReadOptions) -> Result<Self, FormatError> {
        let manifest = Manifest::load(dir)?;
        let Some(entry) = manifest.splits.get(split) else {
            return Err(FormatError::new(
                Fault::UnknownSplit,
                format_args!("there is no split `{split}`"),
                dir.display(),
                Remedy::Do(format!("it has: {}", manifest.split_names().join(", "))),
            ));
        };
        let remedy = manifest.remedy(dir);
        let opening = Opening {
            dir,
            options,
            in_place: manifest.indexed_in_place.as_ref(),
            remedy: &remedy,
        };
        let shards = opening.shards(&entry.shards)?;
        Ok(Self {
            dir: dir.to_owned(),
            split: split.to_owned(),
            num_samples: shards.last().map_or(0, Shard::end),
            manifest,
            shards,
            remedy,
        })
    }

    /// How many samples the split has; they are numbered from 0.
    pub fn num_samples(&self) -> u64 {
        self.num_samples
    }

    /// Class names; a label is a position in this list.
    pub fn classes(&self) -> &[String] {
        &self.manifest.classes
    }

    /// Size of the tars of all compressed shards. Each is unpacked into a temporary file when one of its images is asked for; see
    /// [`crate::check_room_to_unpack`].
    pub fn num_bytes_to_unpack(&self) -> u64 {
        self.manifest.splits[&self.split].num_bytes_to_unpack()
    }

    /// The shards that were cut short, where [`ReadOptions::allow_damaged`] accepts them.
    pub fn cut_shards(&self) -> impl Iterator<Item = &CutShard> {
        self.shards.iter().filter_map(|shard| shard.cut.as_ref())
    }

    /// Name of the split.
    pub fn split(&self) -> &str {
        &self.split
    }

    /// The manifest of the whole set.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// All samples in order, each as [`ShardSet::sample`] gives it.
    pub fn samples(&self) -> impl Iterator<Item = Result<Sample<'_>, FormatError>> {
        (0..self.num_samples).map(|id| self.sample(id))
    }

    /// Sample `id`, in the order of the manifest. Touches the index, not the image.
    ///
    /// # Errors
    /// If there is no such sample, or the index is damaged.
    pub fn sample(&self, id: u64) -> Result<Sample<'_>, FormatError> {
        if id >= self.num_samples {
            let (split, num_samples) = (&self.split, self.num_samples);
            return Err(FormatError::new(
                Fault::NoSuchSample,
                format_args!("there is no sample {id}"),
                format_args!("split `{split}` has {num_samples}"),
                "ask for a smaller number",
            ));
        }
        let after = self.shards.partition_point(|shard| shard.first <= id);
        let shard = &self.shards[after - 1];
        let number = id - shard.first;
        let entry = shard.index.entry_of_set(number, self.classes().len());
        let (entry, key) = entry.map_err(|error| error.advise(&self.remedy))?;
        Ok(Sample {
            key,
            label: (entry.label != UNLABELLED).then_some(entry.label),
            header: entry.header,
            shard: &shard.file,
            offset: entry.offset,
            num_bytes: entry.length,
            crc: entry.crc,
            source: Source {
                shard,
                dir: &self.dir,
                remedy: &self.remedy,
            },
        })
    }
}

/// The loader shares one set between its threads.
const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<ShardSet>();
};
