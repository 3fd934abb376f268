//! A file mapped for reading: the only unsafe lines of the crate.

use std::fs::File;
use std::io::{self, Write};
use std::ops::{Deref, Range};
use std::path::Path;

use memmap2::{Mmap, UncheckedAdvice};
use rustix::fs::{MemfdFlags, memfd_create};

use crate::error::{Fault, FormatError, Remedy};

/// A whole file, mapped for reading, for those who look at a shard without its index.
///
/// Nobody may shorten the file meanwhile: touching pages that are gone ends the process.
#[derive(Debug)]
pub struct MappedFile(Mmap);

impl MappedFile {
    /// Maps the file at `path`.
    ///
    /// # Errors
    /// [`Fault::MissingFile`], [`Fault::TooManyMappings`], or the system's refusal.
    pub fn open(path: &Path) -> Result<Self, FormatError> {
        Self::of(&open(path)?, path)
    }

    /// Maps an open file, whole; `path` is what an error names. The mapping outlives the file handle, and also the file's name.
    ///
    /// # Errors
    /// [`Fault::TooManyMappings`], or the system's refusal.
    pub fn of(file: &File, path: &Path) -> Result<Self, FormatError> {
        map_whole(file)
            .map(Self)
            .map_err(|error| match error.kind() {
                io::ErrorKind::OutOfMemory => too_many_mappings(path),
                _ => FormatError::read(path)(error),
            })
    }

    /// Maps bytes that are in no file: a file in memory, without a name, takes them.
    pub(crate) fn of_bytes(bytes: &[u8]) -> io::Result<Self> {
        let mut file = File::from(memfd_create("index", MemfdFlags::CLOEXEC)?);
        file.write_all(bytes)?;
        map_whole(&file).map(Self)
    }

    /// Gives the memory of these bytes back to the system, for those who read more than fits into memory. Nothing is lost: who
    /// reads them again gets them from the file, or from the system's cache of it.
    pub fn release(&self, range: Range<usize>) {
        release(&self.0, range);
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// Opens a file of a set.
///
/// # Errors
/// [`Fault::MissingFile`], or the system's refusal.
pub(crate) fn open(path: &Path) -> Result<File, FormatError> {
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => FormatError::new(
            Fault::MissingFile,
            "a file of the set is missing",
            path.display(),
            Remedy::CopyOrPack,
        ),
        _ => FormatError::read(path)(error),
    })?;
    // Mapping a folder would fail with a word about devices.
    match file.metadata() {
        Ok(metadata) if metadata.is_dir() => {
            Err(FormatError::read(path)(io::ErrorKind::IsADirectory.into()))
        }
        _ => Ok(file),
    }
}

/// Tells how many mappings the system grants a process.
fn too_many_mappings(path: &Path) -> FormatError {
    let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    let limit: u64 = limit.trim().parse().unwrap_or(0);
    let (refused, more) = (
        "the system maps no more files into this process",
        limit.saturating_mul(4),
    );
    FormatError::new(
        Fault::TooManyMappings,
        format_args!("{refused} (vm.max_map_count is {limit}, a shard takes 2)"),
        path.display(),
        Remedy::Do(format!(
            "raise the limit (sysctl -w vm.max_map_count={more}), or pack larger shards"
        )),
    )
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

/// Takes the pages of `range` out of this process; see [`MappedFile::release`].
#[expect(
    unsafe_code,
    reason = "giving back memory is unsafe by nature; see the note"
)]
fn release(map: &Mmap, range: Range<usize>) {
    let end = range.end.min(map.len());
    let start = range.start.min(end);
    // SAFETY: the advice would lose the bytes of memory that is not that of a file, or that was written to. Every mapping of this
    // crate is made by `map_whole`, shared and for reading only, of a file on disk or of one in memory that the mapping keeps, so
    // that a later access finds the same bytes in the file.
    let advised =
        unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, start, end - start) };
    // Where the system refuses, the memory stays, and nothing else changes.
    drop(advised);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resident_pages(at: *const u8) -> String {
        let maps = std::fs::read_to_string("/proc/self/smaps").expect("read");
        let start = format!("{:x}-", at as usize);
        let mapping = maps.split_once(&start).expect("the mapping").1;
        let line = mapping.lines().find(|line| line.starts_with("Rss:"));
        line.expect("a size").to_owned()
    }

    #[test]
    fn released_bytes_leave_the_memory_and_can_be_read_again() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("bytes");
        let bytes: Vec<u8> = (0..1_000_003u32).map(|number| number as u8).collect();
        std::fs::write(&path, &bytes).expect("written");
        let mapped = MappedFile::open(&path).expect("maps");
        assert_eq!(mapped[..], bytes[..]);
        assert_ne!(
            resident_pages(mapped.as_ptr()),
            "Rss:                   0 kB"
        );
        mapped.release(0..usize::MAX);
        assert_eq!(
            resident_pages(mapped.as_ptr()),
            "Rss:                   0 kB"
        );
        mapped.release(bytes.len() + 5..usize::MAX);
        assert_eq!(mapped[..], bytes[..]);
    }
}
