//! The index of one shard: written from entries in memory, read in place from a mapping.
//!
//! It knows the layout (see the crate's documentation) and checks it; it does not know the manifest
//! nor the shard's bytes. Any thread may read it.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use memmap2::Mmap;

use crate::sample::{ColourModel, ImageHeader, ImageKind};
use crate::{FormatError, mapping};

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

/// Collects the entries of one shard and turns them into the bytes of its index.
#[derive(Debug, Default)]
pub struct IndexBuilder {
    entries: Vec<u8>,
    keys: Vec<u8>,
}

impl IndexBuilder {
    /// Entries so far.
    pub fn num_entries(&self) -> u64 {
        (self.entries.len() / ENTRY_BYTES) as u64
    }

    /// Whether offsets into the key bytes still fit after a key of this length.
    pub fn has_room_for(&self, key: &str) -> bool {
        u32::try_from(self.keys.len() + key.len()).is_ok()
    }

    /// Adds an entry. The caller has checked [`Self::has_room_for`] and
    /// [`crate::name::MAX_KEY_BYTES`].
    pub fn push(&mut self, entry: &Entry, key: &str) {
        let header = &entry.header;
        self.entries.extend(entry.offset.to_le_bytes());
        for field in [
            entry.length,
            entry.crc,
            header.width,
            header.height,
            entry.label,
        ] {
            self.entries.extend(field.to_le_bytes());
        }
        self.entries.extend((self.keys.len() as u32).to_le_bytes());
        self.entries.extend((key.len() as u16).to_le_bytes());
        self.entries
            .extend([header.kind as u8, header.colour as u8, header.bits, 0, 0, 0]);
        self.keys.extend(key.as_bytes());
    }

    /// The whole index of a shard of this size and digest.
    pub fn to_bytes(&self, shard_bytes: u64, shard_digest: u64) -> Vec<u8> {
        let mut body_crc = crc32fast::Hasher::new();
        body_crc.update(&self.entries);
        body_crc.update(&self.keys);
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.entries.len() + self.keys.len());
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend((ENTRY_BYTES as u32).to_le_bytes());
        for field in [
            self.num_entries(),
            shard_bytes,
            self.keys.len() as u64,
            shard_digest,
        ] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.extend(body_crc.finalize().to_le_bytes());
        bytes.extend([0; 8]);
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        bytes.extend(&self.entries);
        bytes.extend(&self.keys);
        bytes
    }
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
/// The checksum over entries and keys is taken when the first entry is asked for, so that opening
/// a set touches one page of each index.
#[derive(Debug)]
pub struct Index<B = Mmap> {
    path: PathBuf,
    bytes: B,
    num_entries: u64,
    shard_bytes: u64,
    shard_digest: u64,
    body_is_sound: OnceLock<bool>,
}

impl Index {
    /// Maps the index and checks its header against its checksum and the size of the file.
    ///
    /// # Errors
    /// If it is not there, cannot be mapped, or its header is damaged or of another version.
    pub fn open(path: &Path) -> Result<Self, FormatError> {
        Self::new(mapping::map(path)?, path)
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
        let header = checked_header(&bytes, path)?;
        let index = Self {
            path: path.to_owned(),
            num_entries: u64_at(header, 16),
            shard_bytes: u64_at(header, 24),
            shard_digest: u64_at(header, 40),
            body_is_sound: OnceLock::new(),
            bytes,
        };
        index.check_length(u64_at(index.header(), 32))?;
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

    fn header(&self) -> &[u8] {
        &self.bytes[..HEADER_BYTES]
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
        })
    }

    fn check_body(&self) -> Result<(), FormatError> {
        let compare = || crc32fast::hash(&self.bytes[HEADER_BYTES..]) == u32_at(self.header(), 48);
        if *self.body_is_sound.get_or_init(compare) {
            return Ok(());
        }
        Err(FormatError::IndexChecksum {
            path: self.path.clone(),
            part: "body",
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
        }
    }
}

fn checked_header<'a>(bytes: &'a [u8], path: &Path) -> Result<&'a [u8], FormatError> {
    let path = path.to_owned();
    let Some(header) = bytes
        .get(..HEADER_BYTES)
        .filter(|header| header.starts_with(MAGIC))
    else {
        return Err(FormatError::IndexMagic { path });
    };
    if crc32fast::hash(&header[..60]) != u32_at(header, 60) {
        return Err(FormatError::IndexChecksum {
            path,
            part: "header",
        });
    }
    let found = u32_at(header, 8);
    if found != VERSION {
        return Err(FormatError::IndexVersion {
            path,
            found,
            expected: VERSION,
        });
    }
    if u32_at(header, 12) as usize != ENTRY_BYTES {
        let problem = format!("entries of {} bytes", u32_at(header, 12));
        return Err(FormatError::IndexInvalid { path, problem });
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(offset: u64) -> Entry {
        let header = ImageHeader {
            kind: ImageKind::JpegProgressive,
            colour: ColourModel::Ycck,
            bits: 8,
            width: 70_000,
            height: 3,
        };
        Entry {
            offset,
            length: 17,
            crc: 0xdead_beef,
            label: 9,
            header,
        }
    }

    fn two_entries() -> Vec<u8> {
        let mut builder = IndexBuilder::default();
        builder.push(&entry(512), "a/b");
        builder.push(&entry(1 << 40), "class/stem");
        builder.to_bytes(1 << 41, 77)
    }

    fn open(bytes: &[u8]) -> Result<Index, FormatError> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("train-000000.idx");
        std::fs::write(&path, bytes).expect("written");
        Index::open(&path)
    }

    #[test]
    fn entries_and_keys_come_back_as_they_were_pushed() {
        let index = open(&two_entries()).expect("opens");
        assert_eq!(index.num_entries(), 2);
        assert_eq!((index.shard_bytes(), index.shard_digest()), (1 << 41, 77));
        assert_eq!(index.entry(0).expect("entry"), (entry(512), "a/b"));
        assert_eq!(
            index.entry(1).expect("entry"),
            (entry(1 << 40), "class/stem")
        );
        assert!(matches!(
            index.entry(2),
            Err(FormatError::IndexInvalid { .. })
        ));
    }

    #[test]
    fn an_index_in_memory_reads_like_one_on_disk() {
        let index = Index::from_bytes(&two_entries(), Path::new("x.idx")).expect("opens");
        assert_eq!(index.entry(0).expect("entry"), (entry(512), "a/b"));
        assert_eq!(index.bytes(), two_entries());
    }

    #[test]
    fn an_index_cut_anywhere_is_refused() {
        let bytes = two_entries();
        for length in 0..bytes.len() {
            assert!(open(&bytes[..length]).is_err(), "at {length}");
        }
    }

    #[test]
    fn an_index_of_another_version_says_so() {
        let mut bytes = two_entries();
        bytes[8] = 2;
        let crc = crc32fast::hash(&bytes[..60]).to_le_bytes();
        bytes[60..64].copy_from_slice(&crc);
        assert!(matches!(
            open(&bytes),
            Err(FormatError::IndexVersion { found: 2, .. })
        ));
    }

    proptest! {
        #[test]
        fn every_flipped_bit_is_detected(at in any::<prop::sample::Index>(), bit in 0..8u8) {
            let mut bytes = two_entries();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let detected = open(&bytes).and_then(|index| index.entry(0).map(drop)).is_err();
            prop_assert!(detected, "byte {} bit {}", at, bit);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(open(&bytes).is_err());
        }

        #[test]
        fn a_lying_body_with_a_right_checksum_does_not_make_it_panic(
            body in prop::collection::vec(any::<u8>(), 80..93)
        ) {
            let mut bytes = two_entries();
            let length = bytes.len() - HEADER_BYTES;
            bytes[HEADER_BYTES..].copy_from_slice(&[body, vec![0; 13]].concat()[..length]);
            let body_crc = crc32fast::hash(&bytes[HEADER_BYTES..]).to_le_bytes();
            bytes[48..52].copy_from_slice(&body_crc);
            let header_crc = crc32fast::hash(&bytes[..60]).to_le_bytes();
            bytes[60..64].copy_from_slice(&header_crc);
            let index = open(&bytes).expect("the checksums hold");
            drop((index.entry(0), index.entry(1)));
        }
    }
}
