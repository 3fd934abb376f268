//! A compressed shard, decompressed into an unnamed file and mapped from there: what is read is always a tar.
//!
//! The file lies in the folder for temporary files (`TMPDIR`) and is gone with its last mapping. Whoever asks first for the
//! tar decompresses it; other threads wait for that. What came of it, tar or failure, stays.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use xxhash_rust::xxh3::Xxh3;

use crate::error::{Fault, FormatError, Remedy};
use crate::manifest::ShardManifest;
use crate::mapping::{self, MappedFile};

/// The tar of a compressed shard.
#[derive(Debug)]
pub(crate) struct CompressedTar {
    path: PathBuf,
    num_bytes: u64,
    /// As in the manifest.
    digest: String,
    map: OnceLock<Result<MappedFile, FormatError>>,
}

/// Maps the tar of this shard of the set in `dir`; a compressed one is decompressed into an unnamed file first.
///
/// # Errors
/// As for [`MappedFile::open`], and what is wrong with a compressed shard.
pub fn map_shard(dir: &Path, shard: &ShardManifest) -> Result<MappedFile, FormatError> {
    match shard.zstd_bytes {
        None => MappedFile::open(&dir.join(&shard.file)),
        Some(_) => CompressedTar::open(dir, shard)?.unpack(),
    }
}

impl CompressedTar {
    /// The shard must be there and have the size that the manifest says; nothing is decompressed yet.
    ///
    /// # Errors
    /// [`Fault::MissingFile`], [`Fault::Changed`], or the system's refusal.
    pub(crate) fn open(dir: &Path, shard: &ShardManifest) -> Result<Self, FormatError> {
        let path = dir.join(&shard.file);
        let metadata = mapping::open(&path)?.metadata();
        let found = metadata.map_err(FormatError::read(&path))?.len();
        let expected = shard.zstd_bytes.unwrap_or(found);
        if found != expected {
            return Err(size_differs(&path, found, expected, Remedy::CopyOrPack));
        }
        Ok(Self {
            path,
            num_bytes: shard.num_bytes,
            digest: shard.xxh3.clone(),
            map: OnceLock::new(),
        })
    }

    /// The tar, decompressed at the first call; its size and digest are those of the manifest.
    ///
    /// # Errors
    /// [`Fault::CannotUnpack`], [`Fault::Compressed`] if the tar in it is another or the file is damaged, or
    /// [`Fault::TooManyMappings`].
    pub(crate) fn map(&self) -> Result<&MappedFile, FormatError> {
        let outcome = self.map.get_or_init(|| self.unpack());
        outcome.as_ref().map_err(FormatError::clone)
    }

    fn unpack(&self) -> Result<MappedFile, FormatError> {
        check_room_to_unpack(self.num_bytes)?;
        let no_room = |error: io::Error| cannot_unpack(&error, self.num_bytes);
        let mut tar = tempfile::tempfile_in(std::env::temp_dir()).map_err(no_room)?;
        let source = File::open(&self.path).map_err(FormatError::read(&self.path))?;
        let (num_bytes, digest) = self.decompress(source, &mut tar)?;
        if num_bytes != self.num_bytes || format!("{digest:016x}") != self.digest {
            return Err(self.damaged("the tar in it is not that of the manifest"));
        }
        MappedFile::of(&tar, &self.path)
    }

    /// Size and digest of what was unpacked; stops one byte after the size that the manifest says.
    fn decompress(&self, source: File, tar: &mut File) -> Result<(u64, u64), FormatError> {
        // The system's errors have numbers, those of the decompressor have none.
        let unreadable = |error: io::Error| match error.raw_os_error() {
            Some(_) => FormatError::read(&self.path)(error),
            None => self.damaged(error),
        };
        let decoder = zstd::Decoder::new(source).map_err(unreadable)?;
        let mut decoder = decoder.take(self.num_bytes.saturating_add(1));
        let (mut digest, mut num_bytes) = (Xxh3::new(), 0);
        let mut buffer = vec![0; 1 << 20];
        loop {
            let num_read = decoder.read(&mut buffer).map_err(unreadable)?;
            if num_read == 0 {
                return Ok((num_bytes, digest.digest()));
            }
            digest.update(&buffer[..num_read]);
            tar.write_all(&buffer[..num_read])
                .map_err(|error| cannot_unpack(&error, self.num_bytes))?;
            num_bytes += num_read as u64;
        }
    }

    fn damaged(&self, problem: impl std::fmt::Display) -> FormatError {
        FormatError::new(
            Fault::Compressed,
            format_args!("the compressed shard is damaged: {problem}"),
            self.path.display(),
            "copy it again or pack the set again",
        )
    }
}

/// A file is shorter or longer than the manifest says.
pub(crate) fn size_differs(path: &Path, found: u64, expected: u64, remedy: Remedy) -> FormatError {
    let said = format!("it has {found} bytes, the manifest says {expected}");
    FormatError::new(
        Fault::Changed,
        format_args!("the file was cut short or changed: {said}"),
        path.display(),
        remedy,
    )
}

/// Whether tars of this size, all together, can be unpacked at all.
///
/// # Errors
/// [`Fault::CannotUnpack`] with the bytes needed and free.
pub fn check_room_to_unpack(num_bytes: u64) -> Result<(), FormatError> {
    match free_bytes() {
        _ if num_bytes == 0 => Ok(()),
        Ok(free) if free > num_bytes => Ok(()),
        Ok(_) => Err(cannot_unpack(&"there is no room", num_bytes)),
        Err(error) => Err(cannot_unpack(&error, num_bytes)),
    }
}

fn cannot_unpack(problem: &dyn std::fmt::Display, needed: u64) -> FormatError {
    let (dir, free) = (std::env::temp_dir(), free_bytes().unwrap_or(0));
    FormatError::new(
        Fault::CannotUnpack,
        format_args!("cannot unpack compressed shards: {problem}"),
        format_args!("{}: {needed} bytes needed, {free} free", dir.display()),
        "free some, or let TMPDIR name another folder",
    )
}

fn free_bytes() -> io::Result<u64> {
    let disk = rustix::fs::statvfs(std::env::temp_dir())?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}
