//! One shard of an open split: its index, and its tar from wherever that is mapped.

use std::fmt;
use std::fs::Metadata;
use std::path::Path;

use super::cut::CutShard;
use crate::error::{Fault, FormatError, Remedy};
use crate::index::{Index, byte_range, inconsistent};
use crate::manifest::{IndexedInPlace, ShardManifest};
use crate::mapping::{self, MappedFile};
use crate::unpacked::{CompressedTar, size_differs};

/// What to accept when a set is opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Use the samples of a shard that was cut short which are still whole. The samples of the split are numbered without
    /// gaps then: those after the lost ones have smaller numbers than the manifest gives them.
    pub allow_damaged: bool,
}

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
    /// What is left of it, if it was cut short and that is accepted.
    pub(super) cut: Option<CutShard>,
    tar: Tar,
}

#[derive(Debug)]
enum Tar {
    Mapped(MappedFile),
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
            let (found, expected) = (index.file_bytes(), shard.index_bytes);
            return Err(size_differs(&path, found, expected, Remedy::CopyOrPack));
        }
        let agrees = index.num_entries() == shard.num_samples
            && index.shard_bytes() == shard.num_bytes
            && format!("{:016x}", index.shard_digest()) == shard.xxh3;
        if !agrees {
            let problem = "it describes another shard than the manifest";
            return Err(inconsistent(&path, problem));
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
        let map = MappedFile::of(&file, &path)?;
        if (map.len() as u64) < shard.num_bytes {
            index.check().map_err(|error| error.advise(self.remedy))?;
            let cut = self.accept(CutShard::examine(&shard.file, index, &map))?;
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
    fn accept(&self, cut: CutShard) -> Result<CutShard, FormatError> {
        if self.options.allow_damaged {
            return Ok(cut);
        }
        Err(self.refuse(cut))
    }

    fn refuse(&self, cut: CutShard) -> FormatError {
        FormatError::new(
            Fault::ShardCut,
            format_args!("the shard was cut short or changed: {cut}"),
            self.dir.join(&cut.file).display(),
            self.remedy.clone(),
        )
    }

    fn check_is_unchanged(
        &self,
        shard: &ShardManifest,
        path: &Path,
        tar: &[u8],
        metadata: &Metadata,
    ) -> Result<(), FormatError> {
        let (found, expected) = (tar.len() as u64, shard.num_bytes);
        if found != expected {
            return Err(size_differs(path, found, expected, self.remedy.clone()));
        }
        let times = self
            .in_place
            .and_then(|in_place| in_place.differing_times(&shard.file, metadata));
        let Some(times) = times else { return Ok(()) };
        let [expected, found] = times.map(seconds);
        Err(FormatError::new(
            Fault::Changed,
            format_args!(
                "the shard was changed since it was indexed: modified at {found}, then at {expected} (seconds since 1970; a copy \
                 must keep the time: cp -p)"
            ),
            path.display(),
            self.remedy.clone(),
        ))
    }
}

/// As `stat -c %.9Y` prints it.
fn seconds(ns: i64) -> String {
    let (whole, rest) = (ns.div_euclid(1_000_000_000), ns.rem_euclid(1_000_000_000));
    format!("{whole}.{rest:09}")
}

impl Shard {
    /// Number of the first sample after it.
    pub(super) fn end(&self) -> u64 {
        self.first + self.num_samples
    }
}

/// Where the bytes of a sample come from.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) shard: &'a Shard,
    pub(super) dir: &'a Path,
    pub(super) remedy: &'a Remedy,
}

impl<'a> Source<'a> {
    pub(super) fn bytes(&self, offset: u64, num_bytes: u32) -> Result<&'a [u8], FormatError> {
        let tar: &[u8] = match &self.shard.tar {
            Tar::Mapped(map) => map,
            Tar::Compressed(tar) => tar.map()?,
        };
        let image = byte_range(offset, num_bytes).and_then(|range| tar.get(range));
        image.ok_or_else(|| {
            let (path, of) = (self.dir.join(&self.shard.file), tar.len());
            FormatError::new(
                Fault::OutOfShard,
                "the image lies outside of its shard",
                format_args!(
                    "{} at offset {offset}, {num_bytes} bytes of {of}",
                    path.display()
                ),
                self.remedy.clone(),
            )
        })
    }
}

impl fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.shard.file).finish()
    }
}
