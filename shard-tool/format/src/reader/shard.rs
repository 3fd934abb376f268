//! One shard of an open split: its index, and its tar from wherever that is mapped.

use std::fmt;
use std::fs::Metadata;
use std::path::Path;

use memmap2::Mmap;

use super::ReadOptions;
use super::cut::CutShard;
use crate::index::{Index, byte_range};
use crate::manifest::{IndexedInPlace, ShardManifest};
use crate::remedy::Remedy;
use crate::unpacked::CompressedTar;
use crate::{FormatError, mapping};

/// What opening the shards of a set needs.
pub(super) struct Opening<'a> {
    pub(super) dir: &'a Path,
    pub(super) options: ReadOptions,
    pub(super) in_place: Option<&'a IndexedInPlace>,
    pub(super) remedy: &'a Remedy,
}

#[derive(Debug)]
pub(super) struct Shard {
    pub(super) file: String,
    /// Number of its first sample in the split.
    pub(super) first: u64,
    pub(super) index: Index,
    num_samples: u64,
    /// What is left of it, if it was cut short and that is borne.
    pub(super) cut: Option<CutShard>,
    tar: Tar,
}

#[derive(Debug)]
enum Tar {
    Mapped(Mmap),
    Compressed(CompressedTar),
}

impl Opening<'_> {
    /// Opens these shards, one after another.
    pub(super) fn shards(&self, listed: &[ShardManifest]) -> Result<Vec<Shard>, FormatError> {
        let mut shards: Vec<Shard> = Vec::with_capacity(listed.len());
        for shard in listed {
            let first = shards.last().map_or(0, Shard::end);
            shards.push(self.shard(shard, first)?);
        }
        // What is left of a split is used, but nothing is not.
        let all_lost = shards.last().is_some_and(|last| last.end() == 0);
        match shards.iter().find_map(|shard| shard.cut.clone()) {
            Some(cut) if all_lost => Err(self.refuse(cut)),
            _ => Ok(shards),
        }
    }

    fn shard(&self, shard: &ShardManifest, first: u64) -> Result<Shard, FormatError> {
        let index = self
            .index(shard)
            .map_err(|error| error.advise(self.remedy))?;
        let (tar, cut) = self.tar(shard, &index)?;
        let num_good = cut.as_ref().map(|cut| cut.num_good);
        Ok(Shard {
            file: shard.file.clone(),
            first,
            num_samples: num_good.unwrap_or(shard.num_samples),
            index,
            cut,
            tar,
        })
    }

    fn index(&self, shard: &ShardManifest) -> Result<Index, FormatError> {
        let path = self.dir.join(&shard.index_file);
        let index = Index::open(&path)?;
        if index.file_bytes() != shard.index_bytes {
            return Err(FormatError::SizeDiffers {
                path,
                expected: shard.index_bytes,
                found: index.file_bytes(),
                remedy: Remedy::default(),
            });
        }
        let agrees = index.num_entries() == shard.num_samples
            && index.shard_bytes() == shard.num_bytes
            && format!("{:016x}", index.shard_digest()) == shard.xxh3;
        if !agrees {
            return Err(FormatError::IndexInvalid {
                path,
                problem: "it describes another shard than the manifest".to_owned(),
                remedy: Remedy::default(),
            });
        }
        Ok(index)
    }

    fn tar(
        &self,
        shard: &ShardManifest,
        index: &Index,
    ) -> Result<(Tar, Option<CutShard>), FormatError> {
        if shard.zstd_bytes.is_some() {
            let tar = CompressedTar::open(self.dir, shard);
            return Ok((
                Tar::Compressed(tar.map_err(|error| error.advise(self.remedy))?),
                None,
            ));
        }
        let path = self.dir.join(&shard.file);
        let file = mapping::open(&path).map_err(|error| self.advise_on_tar(error))?;
        let metadata = file.metadata().map_err(FormatError::read(&path))?;
        let map = mapping::map_file(&file, &path)?;
        if (map.len() as u64) < shard.num_bytes {
            index.check().map_err(|error| error.advise(self.remedy))?;
            let cut = self.bear(CutShard::examine(&shard.file, index, &map))?;
            return Ok((Tar::Mapped(map), Some(cut)));
        }
        self.check_is_unchanged(shard, &path, &map, &metadata)?;
        Ok((Tar::Mapped(map), None))
    }

    /// A tar that was there before the set cannot be made again.
    fn advise_on_tar(&self, error: FormatError) -> FormatError {
        match self.in_place {
            Some(_) => error.advise(&Remedy::Copy),
            None => error.advise(self.remedy),
        }
    }

    /// Goes on with what is whole, if that was asked for.
    fn bear(&self, cut: CutShard) -> Result<CutShard, FormatError> {
        if self.options.allow_damaged {
            return Ok(cut);
        }
        Err(self.refuse(cut))
    }

    pub(super) fn refuse(&self, cut: CutShard) -> FormatError {
        FormatError::ShardCut {
            path: self.dir.join(&cut.file),
            cut: Box::new(cut),
            remedy: self.remedy.clone(),
        }
    }

    fn check_is_unchanged(
        &self,
        shard: &ShardManifest,
        path: &Path,
        tar: &Mmap,
        metadata: &Metadata,
    ) -> Result<(), FormatError> {
        let (path, remedy) = (path.to_owned(), self.remedy.clone());
        let (found, expected) = (tar.len() as u64, shard.num_bytes);
        if found != expected {
            return Err(FormatError::SizeDiffers {
                path,
                expected,
                found,
                remedy,
            });
        }
        let times = self
            .in_place
            .and_then(|in_place| in_place.differing_times(&shard.file, metadata));
        match times {
            None => Ok(()),
            Some((expected_ns, found_ns)) => Err(FormatError::TimeDiffers {
                path,
                expected_ns,
                found_ns,
                remedy,
            }),
        }
    }
}

impl Shard {
    /// Number of the first sample behind it.
    pub(super) fn end(&self) -> u64 {
        self.first + self.num_samples
    }
}

/// Where the bytes of a sample come from.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(super) shard: &'a Shard,
    pub(super) dir: &'a Path,
    pub(super) remedy: &'a Remedy,
}

impl<'a> Source<'a> {
    pub(crate) fn bytes(&self, offset: u64, num_bytes: u32) -> Result<&'a [u8], FormatError> {
        let tar: &[u8] = match &self.shard.tar {
            Tar::Mapped(map) => map,
            Tar::Compressed(tar) => tar.map()?,
        };
        let image = byte_range(offset, num_bytes).and_then(|range| tar.get(range));
        image.ok_or_else(|| FormatError::OutOfShard {
            path: self.dir.join(&self.shard.file),
            offset,
            length: u64::from(num_bytes),
            shard_bytes: tar.len() as u64,
            remedy: self.remedy.clone(),
        })
    }
}

impl fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.shard.file).finish()
    }
}
