//! Reads one split of a packed set through mappings. Shared freely between threads.
//!
//! Opening costs the manifest plus one open and mapping per file; memory does not grow with the
//! number of samples. Bytes are read from disk when they are touched. Image checksums are compared
//! when [`Sample::check`] is called, by whoever can afford it.

use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::index::{Entry, Index, UNLABELLED};
use crate::manifest::{Manifest, ShardManifest};
use crate::{FormatError, Sample, mapping};

/// One split of a packed set.
#[derive(Debug)]
pub struct ShardSet {
    dir: PathBuf,
    split: String,
    manifest: Manifest,
    shards: Vec<Shard>,
    num_samples: u64,
}

#[derive(Debug)]
struct Shard {
    file: String,
    /// Number of its first sample in the split.
    first: u64,
    index: Index,
    tar: Mmap,
}

impl ShardSet {
    /// Opens `split` of the set in `dir`.
    ///
    /// # Errors
    /// If there is no such set or split, or a file is missing, has another size than the manifest
    /// says, or has a damaged index header.
    pub fn open(dir: &Path, split: &str) -> Result<Self, FormatError> {
        let manifest = Manifest::load(dir)?;
        let Some(entry) = manifest.splits.get(split) else {
            return Err(FormatError::UnknownSplit {
                dir: dir.to_owned(),
                split: split.to_owned(),
                available: manifest.split_names(),
            });
        };
        let mut shards = Vec::with_capacity(entry.shards.len());
        let mut num_samples = 0;
        for shard in &entry.shards {
            shards.push(Shard::open(dir, shard, num_samples)?);
            num_samples += shard.num_samples;
        }
        Ok(Self {
            dir: dir.to_owned(),
            split: split.to_owned(),
            manifest,
            shards,
            num_samples,
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

    /// Bytes of compressed shards that opening the split has unpacked into temporary files.
    pub fn num_unpacked_bytes(&self) -> u64 {
        let shards = self.manifest.splits[&self.split].shards.iter();
        let compressed = shards.filter(|shard| shard.zstd_bytes.is_some());
        compressed.map(|shard| shard.num_bytes).sum()
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
    /// If there is no such sample, the index is damaged, or the entry points outside of its shard.
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
        let (entry, key) = shard.index.entry(id - shard.first)?;
        Ok(Sample {
            key,
            image: shard.image(&entry, &self.dir)?,
            label: (entry.label != UNLABELLED).then_some(entry.label),
            width: entry.header.width,
            height: entry.header.height,
            kind: entry.header.kind,
            colour: entry.header.colour,
            bits: entry.header.bits,
            shard: &shard.file,
            offset: entry.offset,
            crc: entry.crc,
        })
    }
}

impl Shard {
    fn open(dir: &Path, manifest: &ShardManifest, first: u64) -> Result<Self, FormatError> {
        let (tar_path, index_path) = (dir.join(&manifest.file), dir.join(&manifest.index_file));
        let tar = mapping::shard_tar(dir, manifest)?;
        check_size(&tar_path, manifest.num_bytes, tar.len() as u64)?;
        let index = Index::open(&index_path)?;
        check_size(&index_path, manifest.index_bytes, index.file_bytes())?;
        let agrees = index.num_entries() == manifest.num_samples
            && index.shard_bytes() == manifest.num_bytes
            && format!("{:016x}", index.shard_digest()) == manifest.xxh3;
        if !agrees {
            let problem = "it describes another shard than the manifest".to_owned();
            return Err(FormatError::IndexInvalid {
                path: index_path,
                problem,
            });
        }
        Ok(Self {
            file: manifest.file.clone(),
            first,
            index,
            tar,
        })
    }

    fn image(&self, entry: &Entry, dir: &Path) -> Result<&[u8], FormatError> {
        let length = u64::from(entry.length);
        let end = entry
            .offset
            .checked_add(length)
            .filter(|end| *end <= self.tar.len() as u64);
        match end {
            Some(end) => Ok(&self.tar[entry.offset as usize..end as usize]),
            None => Err(FormatError::OutOfShard {
                path: dir.join(&self.file),
                offset: entry.offset,
                length,
                shard_bytes: self.tar.len() as u64,
            }),
        }
    }
}

fn check_size(path: &Path, expected: u64, found: u64) -> Result<(), FormatError> {
    if found == expected {
        return Ok(());
    }
    Err(FormatError::SizeDiffers {
        path: path.to_owned(),
        expected,
        found,
    })
}

/// The loader shares one set between its threads.
const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<ShardSet>();
};
