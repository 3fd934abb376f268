//! Each sample by itself: its entry, its bytes, its header, its pixels.

use std::io::Cursor;
use std::ops::Range;
use std::panic::catch_unwind;

use image::{ImageFormat, ImageReader};
use shard_format::image_header::{Content, identify};
use shard_format::{Entry, ImageHeader, UNLABELLED};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::defect::{Cause, Defect, SampleId};
use super::oddity;
use super::scan::{Found, Seen};
use super::shard::Shard;

/// What to look at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Depth {
    /// Decode every image.
    pub(super) decode: bool,
    pub(super) num_classes: usize,
}

/// Checks these entries of `shard`.
pub(super) fn check(shard: &Shard<'_>, numbers: Range<u64>, depth: Depth) -> Found {
    let mut found = Found::default();
    for number in numbers {
        found.num_samples += 1;
        match shard.entry(number) {
            Some((entry, key)) => check_one(shard, number, &entry, key, depth, &mut found),
            None => {
                let reason = format!("entry {number} of the index makes no sense");
                let defect = Defect::of_sample(Cause::Index, shard, number, reason);
                found.defects.push(defect);
            }
        }
    }
    found
}

fn check_one(
    shard: &Shard<'_>,
    number: u64,
    entry: &Entry,
    key: &str,
    depth: Depth,
    found: &mut Found,
) {
    let label = (entry.label != UNLABELLED).then_some(entry.label);
    found.tally.add(&entry.header, label, entry.length);
    found.num_bytes += u64::from(entry.length);
    let image = shard.image(entry);
    for (cause, reason) in faults(image, entry, depth) {
        let defect = Defect::of_sample(cause, shard, number, reason);
        found.defects.push(defect);
    }
    let Some(image) = image else { return };
    for name in oddity::of(&entry.header, image) {
        *found.oddities.entry(name).or_default() += 1;
    }
    found.seen.push(Seen {
        digest: xxh3_128(image),
        key: xxh3_64(key.as_bytes()),
        label: entry.label,
        id: SampleId {
            shard: shard.number,
            entry: number as u32,
        },
    });
}

fn faults(image: Option<&[u8]>, entry: &Entry, depth: Depth) -> Vec<(Cause, String)> {
    let mut faults = Vec::new();
    if entry.label != UNLABELLED && entry.label as usize >= depth.num_classes {
        faults.push((Cause::Label, format!("label {} has no class", entry.label)));
    }
    match image {
        None => faults.push((
            Cause::Bytes,
            "the image lies beyond the end of the shard".to_owned(),
        )),
        Some(image) if crc32fast::hash(image) != entry.crc => faults.push((
            Cause::Bytes,
            "the image bytes are damaged (checksum differs)".to_owned(),
        )),
        Some(image) => faults.extend(image_fault(image, &entry.header, depth.decode)),
    }
    faults
}

/// What is wrong with an image whose bytes are those that were packed.
fn image_fault(image: &[u8], stated: &ImageHeader, decode: bool) -> Option<(Cause, String)> {
    match identify(image) {
        Content::Image(header) if header == *stated => {}
        Content::Image(header) => {
            let reason = format!(
                "the index says {}, the image is {}",
                described(stated),
                described(&header)
            );
            return Some((Cause::Header, reason));
        }
        Content::Damaged { detected, problem } => {
            return Some((Cause::Header, format!("unusable {detected}: {problem}")));
        }
        Content::Other(detected) => {
            return Some((Cause::Header, format!("no image (detected: {detected})")));
        }
    }
    let decode = decode && !oddity::is_arithmetic(stated.kind);
    let error = decode.then(|| decode_error(image, stated)).flatten()?;
    Some((Cause::Undecodable, format!("cannot be decoded: {error}")))
}

fn described(header: &ImageHeader) -> String {
    let ImageHeader {
        kind,
        colour,
        bits,
        width,
        height,
    } = header;
    let (kind, colour) = (kind.name(), colour.name());
    format!("{kind} {colour} {bits} bits {width}x{height}")
}

/// Why the image cannot be decoded; `None` if it can. The decoder bounds its memory.
fn decode_error(image: &[u8], header: &ImageHeader) -> Option<String> {
    let format = match header.kind.is_jpeg() {
        true => ImageFormat::Jpeg,
        false => ImageFormat::Png,
    };
    let decode = || ImageReader::with_format(Cursor::new(image), format).decode();
    match catch_unwind(decode) {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("the decoder gave up".to_owned()),
    }
}
