//! One shard being written: the tar on disk, its index in memory.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::{NewSample, UNLABELLED};
use crate::index::{Entry, IndexBuilder};
use crate::manifest::ShardManifest;
use crate::{FormatError, name};

/// Unit of tar: headers and padded contents are multiples of it.
const BLOCK: u64 = 512;
/// Bytes collected before they are hashed and handed to the system.
const BUFFER_BYTES: usize = 1 << 20;

/// Bytes of the two empty blocks that end a tar.
pub const TAR_END_BYTES: u64 = 2 * BLOCK;

impl NewSample<'_> {
    /// What the sample adds to its tar, bytes.
    pub fn stored_bytes(&self) -> u64 {
        let name_bytes = self.key.len() as u64 + 4;
        // A long name has a header and a content of its own, in both members.
        let long_name = if name_bytes > 100 {
            BLOCK + padded(name_bytes + 1)
        } else {
            0
        };
        let label = self.label.map_or(0, |_| 2 * BLOCK + long_name);
        BLOCK + long_name + padded(self.image.len() as u64) + label
    }
}

/// A shard under its partial name.
pub(super) struct ShardWriter {
    file: String,
    path: PathBuf,
    tar: tar::Builder<Counted<BufWriter<Hashed<File>>>>,
    index: IndexBuilder,
}

impl ShardWriter {
    /// Starts the shard that will be called `file`.
    pub(super) fn create(dir: &Path, file: String) -> Result<Self, FormatError> {
        let path = dir.join(name::partial_file(&file));
        let output = File::create(&path).map_err(FormatError::write(&path))?;
        let hashed = Hashed {
            inner: output,
            digest: Xxh3::new(),
        };
        let counted = Counted {
            inner: BufWriter::with_capacity(BUFFER_BYTES, hashed),
            num_bytes: 0,
        };
        Ok(Self {
            file,
            path,
            tar: tar::Builder::new(counted),
            index: IndexBuilder::default(),
        })
    }

    /// Size so far, without the two blocks that end a tar.
    pub(super) fn num_bytes(&self) -> u64 {
        self.tar.get_ref().num_bytes
    }

    /// Size of the whole tar if it ended after this sample.
    pub(super) fn num_bytes_with(&self, sample: &NewSample<'_>) -> u64 {
        self.num_bytes() + sample.stored_bytes() + TAR_END_BYTES
    }

    pub(super) fn has_room_for(&self, key: &str) -> bool {
        self.index.has_room_for(key)
    }

    pub(super) fn append(&mut self, sample: &NewSample<'_>) -> Result<(), FormatError> {
        self.member(sample.key, sample.header.kind.extension(), sample.image)?;
        let offset = self.num_bytes() - padded(sample.image.len() as u64);
        if let Some(label) = sample.label {
            self.member(sample.key, "cls", label.to_string().as_bytes())?;
        }
        let entry = Entry {
            offset,
            length: sample.image.len() as u32,
            crc: sample.crc,
            label: sample.label.unwrap_or(UNLABELLED),
            header: sample.header,
        };
        self.index.push(&entry, sample.key);
        Ok(())
    }

    /// Ends the tar and waits until it is on disk; returns its place in the manifest, and the bytes of its index.
    pub(super) fn finish(self) -> Result<(ShardManifest, Vec<u8>), FormatError> {
        let (num_bytes, digest) = end_tar(self.tar).map_err(FormatError::write(self.path))?;
        let index = self.index.to_bytes(num_bytes, digest);
        let shard = ShardManifest {
            num_samples: self.index.num_entries(),
            num_bytes,
            xxh3: format!("{digest:016x}"),
            index_file: name::index_file(&self.file),
            index_bytes: index.len() as u64,
            index_xxh3: format!("{:016x}", xxh3_64(&index)),
            file: self.file,
        };
        Ok((shard, index))
    }

    /// The name it will have.
    pub(super) fn file(&self) -> &str {
        &self.file
    }

    fn member(&mut self, key: &str, extension: &str, content: &[u8]) -> Result<(), FormatError> {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_entry_type(tar::EntryType::Regular);
        self.tar
            .append_data(&mut header, format!("{key}.{extension}"), content)
            .map_err(FormatError::write(&self.path))
    }
}

impl std::fmt::Debug for ShardWriter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ShardWriter")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

fn end_tar(tar: tar::Builder<Counted<BufWriter<Hashed<File>>>>) -> io::Result<(u64, u64)> {
    let counted = tar.into_inner()?;
    let hashed = counted
        .inner
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    hashed.inner.sync_all()?;
    Ok((counted.num_bytes, hashed.digest.digest()))
}

fn padded(num_bytes: u64) -> u64 {
    num_bytes.next_multiple_of(BLOCK)
}

/// Counts what passes through.
struct Counted<W> {
    inner: W,
    num_bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let num_written = self.inner.write(bytes)?;
        self.num_bytes += num_written as u64;
        Ok(num_written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Takes the digest of what passes through.
struct Hashed<W> {
    inner: W,
    digest: Xxh3,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let num_written = self.inner.write(bytes)?;
        self.digest.update(&bytes[..num_written]);
        Ok(num_written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
