//! The index of one shard, read in place from a mapping.
//!
//! It knows the layout and checks it; it does not know the manifest nor the shard's bytes. Any thread may read it.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::entry::{ENTRY_BYTES, Entry, HEADER_BYTES, MAGIC, UNLABELLED, VERSION, u32_at, u64_at};
use crate::error::{Fault, FormatError, Remedy};
use crate::mapping::{self, MappedFile};
use crate::sample::{ColourModel, ImageHeader, ImageKind};

/// An index, usually mapped, whose header has been checked.
///
/// The checksum over entries and keys is taken when the first entry is asked for; until then no
/// page of the mapping is touched.
#[derive(Debug)]
pub struct Index<B = MappedFile> {
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
        Self::with_header(&header, MappedFile::of(&file, path)?, path)
    }

    /// An index in memory, made by [`crate::index::IndexBuilder::to_bytes`]; `path` is where it would lie.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self, FormatError> {
        let map = MappedFile::of_bytes(bytes).map_err(FormatError::read(path))?;
        Self::new(map, path)
    }

    /// Gives the memory of the index back to the system; who reads it again gets it from the file.
    pub fn release(&self) {
        self.bytes.release(0..self.bytes.len());
    }
}

impl<B: Deref<Target = [u8]>> Index<B> {
    /// An index in these bytes, whose header is checked; `path` is what an error names.
    ///
    /// # Errors
    /// If the header is damaged, of another version, or does not fit the bytes.
    pub fn new(bytes: B, path: &Path) -> Result<Self, FormatError> {
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

    /// Entry `number` and its key.
    ///
    /// # Errors
    /// If the body is damaged, or there is no such entry, or the entry makes no sense.
    pub fn entry(&self, number: u64) -> Result<(Entry, &str), FormatError> {
        self.check()?;
        let bytes = self
            .entry_bytes(number)
            .ok_or_else(|| self.invalid_entry(number, "is missing"))?;
        let (kind, colour) = (
            ImageKind::from_code(bytes[34]),
            ColourModel::from_code(bytes[35]),
        );
        let header = ImageHeader {
            kind: kind.ok_or_else(|| self.invalid_entry(number, "has an unknown image kind"))?,
            colour: colour
                .ok_or_else(|| self.invalid_entry(number, "has an unknown colour model"))?,
            bits: bytes[36],
            width: u32_at(bytes, 16),
            height: u32_at(bytes, 20),
        };
        if header.width == 0 || header.height == 0 {
            return Err(self.invalid_entry(number, "has an image without pixels"));
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
            .ok_or_else(|| self.invalid_entry(number, "has an unusable key"))?;
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
            return Err(self.invalid_entry(number, "has a label without class"));
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
        let (found, entries) = (self.file_bytes(), self.num_entries);
        Err(inconsistent(
            &self.path,
            format_args!(
                "the file has {found} bytes, its header describes {entries} entries and {key_bytes} key bytes"
            ),
        ))
    }

    /// Compares the checksum over entries and keys; the first call reads them all.
    ///
    /// # Errors
    /// [`Fault::Index`].
    pub fn check(&self) -> Result<(), FormatError> {
        let compare = || crc32fast::hash(&self.bytes[HEADER_BYTES..]) == self.body_crc;
        if *self.body_is_sound.get_or_init(compare) {
            return Ok(());
        }
        Err(checksum_differs(&self.path, "body"))
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

    fn invalid_entry(&self, number: u64, problem: &str) -> FormatError {
        inconsistent(&self.path, format_args!("entry {number} {problem}"))
    }
}

/// The first bytes of the file: a whole header, or all there are.
fn read_header(file: &File) -> io::Result<Vec<u8>> {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    file.take(HEADER_BYTES as u64).read_to_end(&mut header)?;
    Ok(header)
}

fn checked_header<'a>(bytes: &'a [u8], path: &Path) -> Result<&'a [u8], FormatError> {
    let header = bytes.get(..HEADER_BYTES);
    let Some(header) = header.filter(|header| header.starts_with(MAGIC)) else {
        return Err(unusable(path, "this is not a shard index"));
    };
    if crc32fast::hash(&header[..60]) != u32_at(header, 60) {
        return Err(checksum_differs(path, "header"));
    }
    match (u32_at(header, 8), u32_at(header, 12)) {
        (VERSION, num_bytes) if num_bytes as usize == ENTRY_BYTES => Ok(header),
        (VERSION, num_bytes) => {
            let problem = format_args!("entries of {num_bytes} bytes");
            Err(inconsistent(path, problem))
        }
        (found, _) => {
            let versions = format!("the index has version {found}, not {VERSION}");
            Err(unusable(path, versions))
        }
    }
}

/// The index contradicts itself, the manifest, or the shard.
pub(crate) fn inconsistent(path: &Path, problem: impl Display) -> FormatError {
    unusable(path, format_args!("the index is inconsistent: {problem}"))
}

fn checksum_differs(path: &Path, part: &str) -> FormatError {
    unusable(
        path,
        format_args!("the {part} of the index is damaged (checksum differs)"),
    )
}

fn unusable(path: &Path, what: impl Display) -> FormatError {
    FormatError::new(Fault::Index, what, path.display(), Remedy::CopyOrPack)
}
