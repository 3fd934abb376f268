//! The layout of an index: its numbers, and one entry. See the crate's documentation.

use std::ops::Range;

use crate::sample::ImageHeader;

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

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
