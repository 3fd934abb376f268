//! One sample of an open split: what the index knows of it, and the way to its image.

use super::shard::Source;
use crate::error::{Fault, FormatError};
use crate::sample::ImageHeader;

/// One sample of a packed set: what the index knows of it, and the way to its image.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// `<class>/<stem>`, see [`crate::name`].
    pub key: &'a str,
    /// Position in [`crate::ShardSet::classes`]; `None` where unlabelled.
    pub label: Option<u32>,
    /// What the image header says.
    pub header: ImageHeader,
    /// File name of the shard.
    pub shard: &'a str,
    /// Offset of the image in the shard, bytes.
    pub offset: u64,
    /// Size of the image in the shard, bytes.
    pub num_bytes: u32,
    /// CRC-32 of the image when it was packed.
    pub crc: u32,
    pub(super) source: Source<'a>,
}

impl<'a> Sample<'a> {
    /// The image file as it was packed. Mapped: reading it may touch the disk. The first image of a compressed shard has that
    /// unpacked.
    ///
    /// # Errors
    /// If the index points outside of the shard, or that cannot be unpacked.
    pub fn image(&self) -> Result<&'a [u8], FormatError> {
        self.source.bytes(self.offset, self.num_bytes)
    }

    /// Reads the whole image once and compares its checksum.
    ///
    /// # Errors
    /// [`Fault::Image`] if a byte has changed since packing; else as [`Sample::image`].
    pub fn check(&self) -> Result<(), FormatError> {
        if crc32fast::hash(self.image()?) == self.crc {
            return Ok(());
        }
        let Self {
            shard, key, offset, ..
        } = self;
        Err(FormatError::new(
            Fault::Image,
            "the image bytes are damaged (checksum differs)",
            format_args!("{shard} key {key} at offset {offset}"),
            "copy the shard again, or pack or index the set again",
        ))
    }
}
