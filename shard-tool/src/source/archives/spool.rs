//! A stream, kept in an unnamed file while it is packed, since its members are read in another order than they come.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use xxhash_rust::xxh3::Xxh3;

use crate::error::ToolError;
use crate::report::progress::Count;
use crate::system::disk::{free_bytes, mib_up};

/// Copies standard input to an unnamed file in `dir`; also gives a digest of it.
///
/// # Errors
/// If it cannot be read, or the disk is full.
pub(super) fn spool(dir: &Path) -> Result<(File, u64), ToolError> {
    let mut file = tempfile::tempfile_in(dir).map_err(ToolError::write(dir))?;
    let (mut stdin, mut digest) = (io::stdin().lock(), Xxh3::new());
    let mut buffer = vec![0; 1 << 20];
    let (mut num_bytes, mut count) = (0, Count::new("taking in", "MiB"));
    loop {
        let num_read = stdin
            .read(&mut buffer)
            .map_err(ToolError::read("standard input"))?;
        if num_read == 0 {
            return Ok((file, digest.digest()));
        }
        digest.update(&buffer[..num_read]);
        num_bytes += num_read as u64;
        count.tell(num_bytes >> 20);
        let written = file.write_all(&buffer[..num_read]);
        written.map_err(|error| write_error(dir, num_bytes, error))?;
    }
}

/// A full disk is told with what was read and what is free.
fn write_error(dir: &Path, num_bytes: u64, error: io::Error) -> ToolError {
    let error = ToolError::write(dir)(error);
    if !error.is_disk_full() {
        return error;
    }
    let (read, free) = (mib_up(num_bytes), free_bytes(dir).unwrap_or(0) >> 20);
    ToolError::resources(
        format_args!(
            "the disk is full: a stream is kept while it is packed, and {read} MiB of it were read"
        ),
        format_args!("{}, where {free} MiB are free", dir.display()),
        "free some, or give --out on another disk",
    )
}
