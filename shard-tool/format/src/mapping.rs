//! A file mapped for reading: the only unsafe line of the crate.

use std::fs::File;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

use crate::manifest::ShardManifest;
use crate::{FormatError, unpacked};

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
        shard_tar(dir, shard).map(Self)
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// Maps the tar of a shard, from its file or from what that unpacks to.
pub(crate) fn shard_tar(dir: &Path, shard: &ShardManifest) -> Result<Mmap, FormatError> {
    let path = dir.join(&shard.file);
    match shard.zstd_bytes {
        None => map(&path),
        Some(expected) => {
            let found = map(&path)?.len() as u64;
            if found != expected {
                return Err(FormatError::SizeDiffers {
                    path,
                    expected,
                    found,
                });
            }
            unpacked::map(&path, shard)
        }
    }
}

/// Maps a whole file. The mapping outlives the file handle, and also the file's name.
///
/// # Errors
/// [`FormatError::MissingFile`], or [`FormatError::Read`] if it cannot be opened or mapped.
pub(crate) fn map(path: &Path) -> Result<Mmap, FormatError> {
    let file = File::open(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => FormatError::MissingFile {
            path: path.to_owned(),
        },
        _ => FormatError::Read {
            path: path.to_owned(),
            source,
        },
    })?;
    map_file(&file).map_err(FormatError::read(path))
}

#[expect(
    unsafe_code,
    reason = "mapping a file is unsafe by nature; see the note"
)]
pub(crate) fn map_file(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: the bytes must not change, nor the file shrink, while they are borrowed. Files of a
    // packed set are only ever made under a temporary name and renamed into place, replaced by
    // unlinking and never by writing (`SetWriter` upholds it), so a mapping keeps the bytes it had.
    // Tars that were indexed where they lay are their owner's, who must not write into them while
    // they are read; that is asked of whoever indexes a set (`SetIndexer`).
    // Sizes are compared with the manifest after mapping.
    unsafe { Mmap::map(file) }
}
