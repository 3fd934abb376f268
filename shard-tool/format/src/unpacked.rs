//! A compressed shard, decompressed into an unnamed file and mapped from there: what is read is always a tar.
//!
//! The file lies in the folder for temporary files (`TMPDIR`) and is gone with its last mapping. Whoever asks first for the
//! tar decompresses it; other threads wait for that. What came of it, tar or failure, stays.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use memmap2::Mmap;
use xxhash_rust::xxh3::Xxh3;

use crate::manifest::ShardManifest;
use crate::remedy::Remedy;
use crate::{FormatError, mapping};

/// The tar of a compressed shard.
#[derive(Debug)]
pub(crate) struct CompressedTar {
    path: PathBuf,
    num_bytes: u64,
    /// As in the manifest.
    digest: String,
    map: OnceLock<Result<Mmap, Failure>>,
}

/// Why there is no tar. Kept, so that a shard is not decompressed once more for each of its samples.
#[derive(Debug, Clone)]
enum Failure {
    /// The compressed file is to blame.
    Shard(String),
    /// The system refused to read it.
    Read(i32),
    /// Where the tar was to go, there is no room or the system refuses.
    Room(String),
    /// One mapping too many.
    Mapping(u64),
}

impl Failure {
    /// The system's errors have numbers, those of the decompressor have none.
    fn reading(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(errno) => Self::Read(errno),
            None => Self::Shard(error.to_string()),
        }
    }
}

impl CompressedTar {
    /// The shard must be there and have the size that the manifest says; nothing is decompressed yet.
    ///
    /// # Errors
    /// [`FormatError::MissingFile`], [`FormatError::SizeDiffers`], or the system's refusal.
    pub(crate) fn open(dir: &Path, shard: &ShardManifest) -> Result<Self, FormatError> {
        let path = dir.join(&shard.file);
        let metadata = mapping::open(&path)?.metadata();
        let found = metadata.map_err(FormatError::read(&path))?.len();
        let expected = shard.zstd_bytes.unwrap_or(found);
        if found != expected {
            return Err(FormatError::SizeDiffers {
                path,
                expected,
                found,
                remedy: Remedy::default(),
            });
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
    /// [`FormatError::CannotUnpack`], [`FormatError::Compressed`] if the tar in it is another or the file is damaged, or
    /// [`FormatError::TooManyMappings`].
    pub(crate) fn map(&self) -> Result<&Mmap, FormatError> {
        let outcome = self.map.get_or_init(|| self.unpack());
        outcome
            .as_ref()
            .map_err(|failure| self.error(failure.clone()))
    }

    /// As [`Self::map`], for the only one who wants it.
    pub(crate) fn into_map(self) -> Result<Mmap, FormatError> {
        self.unpack().map_err(|failure| self.error(failure))
    }

    fn unpack(&self) -> Result<Mmap, Failure> {
        let dir = std::env::temp_dir();
        room_for(self.num_bytes).map_err(Failure::Room)?;
        let mut tar =
            tempfile::tempfile_in(&dir).map_err(|error| Failure::Room(error.to_string()))?;
        let source = File::open(&self.path).map_err(Failure::reading)?;
        let (num_bytes, digest) = unpack(source, &mut tar, self.num_bytes)?;
        if num_bytes != self.num_bytes || format!("{digest:016x}") != self.digest {
            let problem = "the tar in it is not that of the manifest";
            return Err(Failure::Shard(problem.to_owned()));
        }
        mapping::map_file(&tar, &self.path).map_err(|error| match error {
            FormatError::TooManyMappings { limit, .. } => Failure::Mapping(limit),
            other => Failure::Room(other.to_string()),
        })
    }

    fn error(&self, failure: Failure) -> FormatError {
        let path = self.path.clone();
        match failure {
            Failure::Shard(problem) => FormatError::Compressed { path, problem },
            Failure::Read(errno) => FormatError::Read {
                path,
                source: io::Error::from_raw_os_error(errno),
            },
            Failure::Room(problem) => cannot_unpack(problem, self.num_bytes),
            Failure::Mapping(limit) => FormatError::TooManyMappings { path, limit },
        }
    }
}

/// Whether tars of this size, all together, can be unpacked at all.
///
/// # Errors
/// [`FormatError::CannotUnpack`] with the bytes needed and free.
pub fn check_room_to_unpack(num_bytes: u64) -> Result<(), FormatError> {
    room_for(num_bytes).map_err(|problem| cannot_unpack(problem, num_bytes))
}

fn room_for(num_bytes: u64) -> Result<(), String> {
    match free_bytes() {
        _ if num_bytes == 0 => Ok(()),
        Ok(free) if free > num_bytes => Ok(()),
        Ok(_) => Err("there is no room".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn cannot_unpack(problem: String, needed_bytes: u64) -> FormatError {
    FormatError::CannotUnpack {
        dir: std::env::temp_dir(),
        problem,
        needed_bytes,
        free_bytes: free_bytes().unwrap_or(0),
    }
}

fn free_bytes() -> io::Result<u64> {
    let disk = rustix::fs::statvfs(std::env::temp_dir())?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Size and digest of what was unpacked; stops one byte behind `max_bytes`.
fn unpack(source: File, tar: &mut File, max_bytes: u64) -> Result<(u64, u64), Failure> {
    let mut decoder = zstd::Decoder::new(source)
        .map_err(Failure::reading)?
        .take(max_bytes.saturating_add(1));
    let (mut digest, mut num_bytes) = (Xxh3::new(), 0);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let num_read = decoder.read(&mut buffer).map_err(Failure::reading)?;
        if num_read == 0 {
            return Ok((num_bytes, digest.digest()));
        }
        digest.update(&buffer[..num_read]);
        tar.write_all(&buffer[..num_read])
            .map_err(|error| Failure::Room(error.to_string()))?;
        num_bytes += num_read as u64;
    }
}
