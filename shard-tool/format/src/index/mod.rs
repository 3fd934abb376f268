//! The index of one shard, read in place from a mapping; its sub-module writes it from entries in memory.
//!
//! It knows the layout (see the crate's documentation) and checks it; it does not know the manifest
//! nor the shard's bytes. Any thread may read it.

mod builder;

use std::fs::File;
use std::io::{self, Read};
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use memmap2::Mmap;

use crate::remedy::Remedy;
use crate::sample::{ColourModel, ImageHeader, ImageKind};
use crate::{FormatError, mapping};
pub use builder::IndexBuilder;

/// Version of index and manifest that this crate writes and reads.
pub const VERSION: u32 = 1;
/// Size of the index header.
pub const HEADER_BYTES: usize = 64;
/// Size of an entry.
pub const ENTRY_BYTES: usize = 40;
/// The label of an unlabelled sample.
pub const UNLABELLED: u32 = u32::MAX;

pub(crate) const MAGIC: &[u8; 8] = b"\x89SHIDX\r\n";

/// One entry, as in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Offset of the image in the shard, bytes.
    pub offset: u64,
    /// Size of the image, bytes.
    pub length: u32,
    /// CRC-32 of the image.
    pub crc: u32,
    /// Position in the list of classes, or [`UNLABELLED`].
    pub label: u32,
    /// What the image header says.
    pub header: ImageHeader,
}

impl Entry {
    /// Where the image lies in its shard, if that can be at all.
    pub fn range(&self) -> Option<Range<usize>> {
        byte_range(self.offset, self.length)
    }
}

pub(crate) fn byte_range(offset: u64, length: u32) -> Option<Range<usize>> {
    let end = offset.checked_add(u64::from(length))?;
    Some(usize::try_from(offset).ok()?..usize::try_from(end).ok()?)
}

/// Checks the bytes of an index, whole: header, checksums, and that every entry makes sense.
/// Gives the number of its entries. `path` is what an error names.
///
/// # Errors
/// What is wrong with it; whether entries lie inside of the shard is not known here.
pub fn check_index(bytes: &[u8], path: &Path) -> Result<u64, FormatError> {
    let index = Index::new(bytes, path)?;
    (0..index.num_entries()).try_for_each(|number| index.entry(number).map(drop))?;
    Ok(index.num_entries())
}

/// An index, usually mapped, whose header has been checked.
///
/// The checksum over entries and keys is taken when the first entry is asked for; until then no
/// page of the mapping is touched.
#[derive(Debug)]
pub struct Index<B = Mmap> {
    path: PathBuf,
    bytes: B,
    num_entries: u64,
    shard_bytes: u64,
    shard_digest: u64,
    body_crc: u32,
    body_is_sound: OnceLock<bool>,
}

impl Index {
    /// Maps the index and checks its header against its checksum and the size of the file.
    ///
    /// # Errors
    /// If it is not there, cannot be mapped, or its header is damaged or of another version.
    pub fn open(path: &Path) -> Result<Self, FormatError> {
        let file = mapping::open(path)?;
        // Touching the mapping would bring in the pages around the header too, for every shard.
        let header = read_header(&file).map_err(FormatError::read(path))?;
        Self::with_header(&header, mapping::map_file(&file, path)?, path)
    }

    /// An index in memory, made by [`IndexBuilder::to_bytes`]; `path` is where it would lie.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self, FormatError> {
        let map = mapping::map_copy(bytes).map_err(FormatError::read(path))?;
        Self::new(map, path)
    }

    /// Gives the memory of the index back to the system; who reads it again gets it from the file.
    pub fn release(&self) {
        mapping::release(&self.bytes, 0..self.bytes.len());
    }
}

impl<B: Deref<Target = [u8]>> Index<B> {
    fn new(bytes: B, path: &Path) -> Result<Self, FormatError> {
        let header = bytes[..bytes.len().min(HEADER_BYTES)].to_vec();
        Self::with_header(&header, bytes, path)
    }

    fn with_header(header: &[u8], bytes: B, path: &Path) -> Result<Self, FormatError> {
        let header = checked_header(header, path)?;
        let index = Self {
            path: path.to_owned(),
            num_entries: u64_at(header, 16),
            shard_bytes: u64_at(header, 24),
            shard_digest: u64_at(header, 40),
            body_crc: u32_at(header, 48),
            body_is_sound: OnceLock::new(),
            bytes,
        };
        index.check_length(u64_at(header, 32))?;
        Ok(index)
    }

    /// How many entries there are.
    pub fn num_entries(&self) -> u64 {
        self.num_entries
    }

    /// Size of the shard when it was packed, bytes.
    pub fn shard_bytes(&self) -> u64 {
        self.shard_bytes
    }

    /// XXH3-64 of the shard when it was packed.
    pub fn shard_digest(&self) -> u64 {
        self.shard_digest
    }

    /// Size of the index file, bytes.
    pub fn file_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Compares the checksum over entries and keys; the first call reads them all.
    ///
    /// # Errors
    /// [`FormatError::IndexChecksum`].
    pub fn check(&self) -> Result<(), FormatError> {
        self.check_body()
    }

    /// Entry `number` and its key.
    ///
    /// # Errors
    /// If the body is damaged, or there is no such entry, or the entry makes no sense.
    pub fn entry(&self, number: u64) -> Result<(Entry, &str), FormatError> {
        self.check_body()?;
        let bytes = self
            .entry_bytes(number)
            .ok_or_else(|| self.invalid(number, "is missing"))?;
        let (kind, colour) = (
            ImageKind::from_code(bytes[34]),
            ColourModel::from_code(bytes[35]),
        );
        let header = ImageHeader {
            kind: kind.ok_or_else(|| self.invalid(number, "has an unknown image kind"))?,
            colour: colour.ok_or_else(|| self.invalid(number, "has an unknown colour model"))?,
            bits: bytes[36],
            width: u32_at(bytes, 16),
            height: u32_at(bytes, 20),
        };
        if header.width == 0 || header.height == 0 {
            return Err(self.invalid(number, "has an image without pixels"));
        }
        let entry = Entry {
            offset: u64_at(bytes, 0),
            length: u32_at(bytes, 8),
            crc: u32_at(bytes, 12),
            label: u32_at(bytes, 24),
            header,
        };
        let key = self
            .key(bytes)
            .ok_or_else(|| self.invalid(number, "has an unusable key"))?;
        Ok((entry, key))
    }

    /// As [`Self::entry`], in a set of so many classes.
    ///
    /// # Errors
    /// As there, and if there is no class of that label.
    pub(crate) fn entry_of_set(
        &self,
        number: u64,
        num_classes: usize,
    ) -> Result<(Entry, &str), FormatError> {
        let (entry, key) = self.entry(number)?;
        if entry.label != UNLABELLED && entry.label as usize >= num_classes {
            return Err(self.invalid(number, "has a label without class"));
        }
        Ok((entry, key))
    }

    fn check_length(&self, key_bytes: u64) -> Result<(), FormatError> {
        let expected = self
            .num_entries
            .checked_mul(ENTRY_BYTES as u64)
            .and_then(|entries| {
                entries
                    .checked_add(HEADER_BYTES as u64)?
                    .checked_add(key_bytes)
            });
        if expected == Some(self.file_bytes()) {
            return Ok(());
        }
        Err(FormatError::IndexInvalid {
            path: self.path.clone(),
            problem: format!(
                "the file has {} bytes, its header describes {} entries and {key_bytes} key bytes",
                self.file_bytes(),
                self.num_entries
            ),
            remedy: Remedy::default(),
        })
    }

    fn check_body(&self) -> Result<(), FormatError> {
        let compare = || crc32fast::hash(&self.bytes[HEADER_BYTES..]) == self.body_crc;
        if *self.body_is_sound.get_or_init(compare) {
            return Ok(());
        }
        Err(FormatError::IndexChecksum {
            path: self.path.clone(),
            part: "body",
            remedy: Remedy::default(),
        })
    }

    fn entry_bytes(&self, number: u64) -> Option<&[u8]> {
        if number >= self.num_entries {
            return None;
        }
        let start = HEADER_BYTES + number as usize * ENTRY_BYTES;
        self.bytes.get(start..start + ENTRY_BYTES)
    }

    fn key(&self, entry: &[u8]) -> Option<&str> {
        let keys = HEADER_BYTES + self.num_entries as usize * ENTRY_BYTES;
        let start = keys + u32_at(entry, 28) as usize;
        let length = usize::from(u16::from_le_bytes([entry[32], entry[33]]));
        std::str::from_utf8(self.bytes.get(start..start + length)?).ok()
    }

    fn invalid(&self, number: u64, problem: &str) -> FormatError {
        FormatError::IndexInvalid {
            path: self.path.clone(),
            problem: format!("entry {number} {problem}"),
            remedy: Remedy::default(),
        }
    }
}

/// The first bytes of the file: a whole header, or all there are.
fn read_header(file: &File) -> io::Result<Vec<u8>> {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    file.take(HEADER_BYTES as u64).read_to_end(&mut header)?;
    Ok(header)
}

fn checked_header<'a>(bytes: &'a [u8], path: &Path) -> Result<&'a [u8], FormatError> {
    let (path, remedy) = (path.to_owned(), Remedy::default());
    let Some(header) = bytes
        .get(..HEADER_BYTES)
        .filter(|header| header.starts_with(MAGIC))
    else {
        return Err(FormatError::IndexMagic { path, remedy });
    };
    if crc32fast::hash(&header[..60]) != u32_at(header, 60) {
        return Err(FormatError::IndexChecksum {
            path,
            part: "header",
            remedy,
        });
    }
    let found = u32_at(header, 8);
    if found != VERSION {
        return Err(FormatError::IndexVersion {
            path,
            found,
            expected: VERSION,
            remedy,
        });
    }
    if u32_at(header, 12) as usize != ENTRY_BYTES {
        let problem = format!("entries of {} bytes", u32_at(header, 12));
        return Err(FormatError::IndexInvalid {
            path,
            problem,
            remedy,
        });
    }
    Ok(header)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests;
