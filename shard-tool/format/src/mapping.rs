//! A file mapped for reading: the only unsafe line of the crate.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

use crate::FormatError;
use crate::manifest::ShardManifest;
use crate::remedy::Remedy;
use crate::unpacked::CompressedTar;

/// A whole file, mapped for reading, for those who look at a shard without its index.
///
/// Nobody may shorten the file meanwhile: touching pages that are gone ends the process.
#[derive(Debug)]
pub struct MappedFile(Mmap);

impl MappedFile {
    /// Maps the file at `path`.
    ///
    /// # Errors
    /// [`FormatError::MissingFile`], or [`FormatError::Read`] if it cannot be opened or mapped.
    pub fn open(path: &Path) -> Result<Self, FormatError> {
        map(path).map(Self)
    }

    /// Maps the tar of this shard of the set in `dir`; a compressed one is decompressed into an unnamed file first.
    ///
    /// # Errors
    /// As for [`MappedFile::open`], and what is wrong with a compressed shard.
    pub fn of_shard(dir: &Path, shard: &ShardManifest) -> Result<Self, FormatError> {
        match shard.zstd_bytes {
            None => Self::open(&dir.join(&shard.file)),
            Some(_) => CompressedTar::open(dir, shard)?.into_map().map(Self),
        }
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// Maps a whole file. The mapping outlives the file handle, and also the file's name.
///
/// # Errors
/// [`FormatError::MissingFile`], or as [`map_file`].
pub(crate) fn map(path: &Path) -> Result<Mmap, FormatError> {
    map_file(&open(path)?, path)
}

/// Opens a file of a set.
///
/// # Errors
/// [`FormatError::MissingFile`], or [`FormatError::Read`].
pub(crate) fn open(path: &Path) -> Result<File, FormatError> {
    File::open(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => FormatError::MissingFile {
            path: path.to_owned(),
            remedy: Remedy::default(),
        },
        _ => FormatError::read(path)(source),
    })
}

/// Maps an open file; `path` is what an error names.
///
/// # Errors
/// [`FormatError::TooManyMappings`], or [`FormatError::Read`].
pub(crate) fn map_file(file: &File, path: &Path) -> Result<Mmap, FormatError> {
    map_whole(file).map_err(|source| match source.kind() {
        io::ErrorKind::OutOfMemory => FormatError::TooManyMappings {
            path: path.to_owned(),
            limit: max_mappings(),
        },
        _ => FormatError::read(path)(source),
    })
}

/// How many mappings the system grants a process; 0 if it does not say.
fn max_mappings() -> u64 {
    let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    limit.trim().parse().unwrap_or(0)
}

#[expect(
    unsafe_code,
    reason = "mapping a file is unsafe by nature; see the note"
)]
fn map_whole(file: &File) -> io::Result<Mmap> {
    // SAFETY: the bytes must not change, nor the file shrink, while they are borrowed. Files of a
    // packed set are only ever made under a temporary name and renamed into place, replaced by
    // unlinking and never by writing (`SetWriter` upholds it), so a mapping keeps the bytes it had.
    // Tars that were indexed where they lay are their owner's, who must not write into them while
    // they are read; that is asked of whoever indexes a set (`SetIndexer`).
    // Sizes are compared with the manifest after mapping.
    unsafe { Mmap::map(file) }
}
