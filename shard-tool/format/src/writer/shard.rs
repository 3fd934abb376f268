//! One shard being written: the tar on disk, its index in memory.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::sample::{NewSample, TAR_END_BYTES, padded};
use super::write_behind::WriteBehind;
use crate::error::FormatError;
use crate::index::{Entry, IndexBuilder, UNLABELLED};
use crate::manifest::ShardManifest;
use crate::name;

/// Bytes collected before they are handed to the system.
const BUFFER_BYTES: usize = 1 << 20;

/// A shard under its partial name.
pub(super) struct ShardWriter {
    file: String,
    path: PathBuf,
    tar: tar::Builder<Measured<BufWriter<Output>>>,
    index: IndexBuilder,
}

impl ShardWriter {
    /// Starts a shard; with a level it is compressed, and called so.
    pub(super) fn create(
        dir: &Path,
        tar_file: String,
        zstd_level: Option<i32>,
    ) -> Result<Self, FormatError> {
        let file = match zstd_level {
            Some(_) => name::compressed_file(&tar_file),
            None => tar_file,
        };
        let path = dir.join(name::partial_file(&file));
        let output = File::create(&path).and_then(|file| Output::new(file, zstd_level));
        let output = output.map_err(FormatError::write(&path))?;
        let measured = Measured {
            inner: BufWriter::with_capacity(BUFFER_BYTES, output),
            num_bytes: 0,
            digest: Xxh3::new(),
        };
        Ok(Self {
            file,
            path,
            tar: tar::Builder::new(measured),
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
        let ended = end_tar(self.tar).map_err(FormatError::write(&self.path))?;
        let (num_bytes, digest) = (ended.num_bytes, ended.digest);
        let index = self.index.to_bytes(num_bytes, digest);
        let shard = ShardManifest {
            num_samples: self.index.num_entries(),
            num_bytes,
            zstd_bytes: ended.zstd_bytes,
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

/// A tar that is whole and on disk.
struct Ended {
    num_bytes: u64,
    digest: u64,
    /// Size of the file, if it is compressed.
    zstd_bytes: Option<u64>,
}

fn end_tar(tar: tar::Builder<Measured<BufWriter<Output>>>) -> io::Result<Ended> {
    let measured = tar.into_inner()?;
    let output = measured.inner.into_inner();
    Ok(Ended {
        num_bytes: measured.num_bytes,
        digest: measured.digest.digest(),
        zstd_bytes: output.map_err(io::IntoInnerError::into_error)?.finish()?,
    })
}

/// Where the tar goes.
enum Output {
    Plain(WriteBehind),
    Zstd(zstd::Encoder<'static, WriteBehind>),
}

impl Output {
    fn new(file: File, zstd_level: Option<i32>) -> io::Result<Self> {
        let file = WriteBehind::new(file);
        match zstd_level {
            None => Ok(Self::Plain(file)),
            Some(level) => zstd::Encoder::new(file, level).map(Self::Zstd),
        }
    }

    /// Waits until all is on disk; the size of the file, if it is compressed.
    fn finish(self) -> io::Result<Option<u64>> {
        match self {
            Self::Plain(file) => file.finish().map(|_| None),
            Self::Zstd(encoder) => encoder.finish()?.finish().map(Some),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }
}

/// Counts what passes through, and takes its digest.
struct Measured<W> {
    inner: W,
    num_bytes: u64,
    digest: Xxh3,
}

impl<W: Write> Write for Measured<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let num_written = self.inner.write(bytes)?;
        self.num_bytes += num_written as u64;
        self.digest.update(&bytes[..num_written]);
        Ok(num_written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
