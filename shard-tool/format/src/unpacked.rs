//! A compressed shard, decompressed into an unnamed file and mapped from there: what is read is always a tar.
//!
//! The file lies in the folder for temporary files (`TMPDIR`) and is gone with its last mapping.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use memmap2::Mmap;
use xxhash_rust::xxh3::Xxh3;

use crate::manifest::ShardManifest;
use crate::{FormatError, mapping};

/// Decompresses the shard at `path` and maps the tar in it; its size and digest are those of the manifest.
///
/// # Errors
/// [`FormatError::NoRoomToUnpack`], [`FormatError::Compressed`] if the tar in it is another or the file is damaged, or the
/// system's refusal.
pub(crate) fn map(path: &Path, shard: &ShardManifest) -> Result<Mmap, FormatError> {
    let dir = std::env::temp_dir();
    check_room(&dir, shard.num_bytes)?;
    let mut tar = tempfile::tempfile_in(&dir).map_err(FormatError::write(&dir))?;
    let source = File::open(path).map_err(FormatError::read(path))?;
    let damaged = |problem: String| FormatError::Compressed {
        path: path.to_owned(),
        problem,
    };
    let (num_bytes, digest) =
        unpack(source, &mut tar, shard.num_bytes).map_err(|error| damaged(error.to_string()))?;
    if num_bytes != shard.num_bytes || format!("{digest:016x}") != shard.xxh3 {
        return Err(damaged(
            "the tar in it is not that of the manifest".to_owned(),
        ));
    }
    tar.rewind().map_err(FormatError::read(&dir))?;
    mapping::map_file(&tar).map_err(FormatError::read(&dir))
}

fn check_room(dir: &Path, needed_bytes: u64) -> Result<(), FormatError> {
    let disk = rustix::fs::statvfs(dir).map_err(|errno| FormatError::read(dir)(errno.into()))?;
    let free_bytes = disk.f_bavail * disk.f_frsize;
    if free_bytes > needed_bytes {
        return Ok(());
    }
    Err(FormatError::NoRoomToUnpack {
        dir: dir.to_owned(),
        needed_bytes,
        free_bytes,
    })
}

/// Size and digest of what was unpacked; stops one byte behind `max_bytes`.
fn unpack(source: File, tar: &mut File, max_bytes: u64) -> io::Result<(u64, u64)> {
    let mut decoder = zstd::Decoder::new(source)?.take(max_bytes + 1);
    let (mut digest, mut num_bytes) = (Xxh3::new(), 0);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let num_read = decoder.read(&mut buffer)?;
        if num_read == 0 {
            return Ok((num_bytes, digest.digest()));
        }
        digest.update(&buffer[..num_read]);
        tar.write_all(&buffer[..num_read])?;
        num_bytes += num_read as u64;
    }
}
