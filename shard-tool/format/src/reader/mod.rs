//! Reads one split of a packed set through mappings. Shared freely between threads.
//!
//! Opening costs the manifest plus one open and mapping per file, and the header of each index; memory does not grow with the
//! number of samples. A shard takes two mappings, of which the system grants 65,530 by default. Bytes are read from disk when
//! they are touched. Image checksums are compared when [`Sample::check`] is called, by whoever can afford it.

mod cut;
mod shard;

use std::path::{Path, PathBuf};

use crate::index::UNLABELLED;
use crate::manifest::Manifest;
use crate::remedy::Remedy;
use crate::{FormatError, Sample};
pub use cut::CutShard;
pub(crate) use shard::Source;
use shard::{Opening, Shard};

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

/// What to bear when a set is opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Use the samples of a shard that was cut short which are still whole. The samples of the split are numbered without
    /// gaps then: those behind the lost ones have smaller numbers than the manifest gives them.
    pub allow_damaged: bool,
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

    /// As [`ShardSet::open`], bearing what `options` allow.
    ///
    /// # Errors
    /// As [`ShardSet::open`], but for what is borne.
    pub fn open_with(dir: &Path, split: &str, options: ReadOptions) -> Result<Self, FormatError> {
        let manifest = Manifest::load(dir)?;
        let Some(entry) = manifest.splits.get(split) else {
            return Err(FormatError::UnknownSplit {
                dir: dir.to_owned(),
                split: split.to_owned(),
                available: manifest.split_names(),
            });
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
        let shards = self.manifest.splits[&self.split].shards.iter();
        let compressed = shards.filter(|shard| shard.zstd_bytes.is_some());
        compressed.map(|shard| shard.num_bytes).sum()
    }

    /// The shards that were cut short, where [`ReadOptions::allow_damaged`] bears them.
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
            let (split, num_samples) = (self.split.clone(), self.num_samples);
            return Err(FormatError::NoSuchSample {
                id,
                split,
                num_samples,
            });
        }
        let after = self.shards.partition_point(|shard| shard.first <= id);
        let shard = &self.shards[after - 1];
        let number = id - shard.first;
        let entry = shard.index.entry_of_set(number, self.classes().len());
        let (entry, key) = entry.map_err(|error| error.advise(&self.remedy))?;
        Ok(Sample {
            key,
            label: (entry.label != UNLABELLED).then_some(entry.label),
            width: entry.header.width,
            height: entry.header.height,
            kind: entry.header.kind,
            colour: entry.header.colour,
            bits: entry.header.bits,
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
