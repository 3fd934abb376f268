//! What goes into a set: a sample, its place in a tar, and what the format cannot hold.

use crate::error::{Fault, FormatError};
use crate::name;
use crate::sample::ImageHeader;

/// Unit of tar: headers and padded contents are multiples of it.
const BLOCK: u64 = 512;
/// Bytes of the two empty blocks that end a tar.
pub const TAR_END_BYTES: u64 = 2 * BLOCK;

/// A sample to be written.
#[derive(Debug, Clone, Copy)]
pub struct NewSample<'a> {
    /// `<class>/<stem>`, unique in its split; [`name`] makes such keys.
    pub key: &'a str,
    /// The image file.
    pub image: &'a [u8],
    /// CRC-32 of `image`, taken by whoever read it.
    pub crc: u32,
    /// What [`crate::image_header::identify`] says of `image`.
    pub header: ImageHeader,
    /// Position in the list of classes; `None` leaves the sample unlabelled.
    pub label: Option<u32>,
}

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

pub(super) fn padded(num_bytes: u64) -> u64 {
    num_bytes.next_multiple_of(BLOCK)
}

/// Whether the sample can be stored in a set of this many classes.
///
/// # Errors
/// [`Fault::Unstorable`].
pub(super) fn check(sample: &NewSample<'_>, num_classes: usize) -> Result<(), FormatError> {
    let key_fault = key_fault(sample.key);
    let unknown_label = sample
        .label
        .is_some_and(|label| label as usize >= num_classes);
    let problem = match key_fault {
        Some(fault) => fault.to_owned(),
        None if u32::try_from(sample.image.len()).is_err() => "larger than 4 GiB".to_owned(),
        None if unknown_label => format!("label {:?} has no class", sample.label),
        None => return Ok(()),
    };
    Err(FormatError::new(
        Fault::Unstorable,
        format_args!("the sample cannot be stored: {problem}"),
        format_args!("key {}", sample.key),
        "leave it out",
    ))
}

/// What a reader would trip over in a key.
fn key_fault(key: &str) -> Option<&'static str> {
    let Some((class, stem)) = key.rsplit_once('/') else {
        return Some("the key is not of the form <class>/<stem>");
    };
    let odd_part = |part: &str| matches!(part, "" | "." | "..");
    if class.split('/').any(odd_part) || odd_part(stem) {
        return Some("a part of the key is empty or made of dots");
    }
    if stem.contains('.') {
        return Some("the last part of the key has a dot");
    }
    if key.len() > name::MAX_KEY_BYTES {
        return Some("the key is longer than 65,535 bytes");
    }
    key.contains('\0').then_some("the key has a zero byte")
}
