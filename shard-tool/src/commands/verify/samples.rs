//! Each sample by itself: its entry, its bytes, its header, its pixels.

use std::ops::Range;

use image_decode::{DEFAULT_PIXEL_LIMIT, Decoder, Outcome, RgbImage, content_name};
use shard_format::image_header::{Content, identify};
use shard_format::{Entry, ImageHeader, UNLABELLED};

use super::defect::{Cause, Defect};
use super::findings::{Depth, Findings};
use super::oddity;
use super::shard::Shard;
use crate::report::statistics::Statistics;
use crate::system::drop_behind::DropBehind;

/// Checks these entries of `shard`.
pub(super) fn check(shard: &Shard<'_>, numbers: Range<u64>, depth: Depth) -> Findings {
    let (mut found, mut statistics) = (Findings::default(), Statistics::default());
    let mut pixels = depth.decode.then(Pixels::new);
    let mut passed = shard.tar.as_ref().map(DropBehind::new);
    for number in numbers {
        found.num_samples += 1;
        match shard.entry(number) {
            Some((entry, _)) => {
                let label = (entry.label != UNLABELLED).then_some(entry.label);
                statistics.add(&entry.header, label, entry.length);
                found.num_bytes += u64::from(entry.length);
                let image = shard.image(&entry);
                let oddities = image.map(|image| oddity::of(&entry.header, image));
                let oddities = oddities.into_iter().flatten();
                oddities.for_each(|name| found.count_oddity(name));
                for (cause, reason) in faults(image, &entry, depth, &mut pixels, &mut found) {
                    let defect = Defect::of_sample(cause, shard, number, reason);
                    found.defects.push(defect);
                }
                if let Some((passed, image)) = passed.as_mut().zip(entry.range()) {
                    passed.read(image);
                }
            }
            None => {
                let reason = format!("entry {number} of the index makes no sense");
                let defect = Defect::of_sample(Cause::Index, shard, number, reason);
                found.defects.push(defect);
            }
        }
    }
    shard.release_index();
    found.statistics.insert(shard.split.to_owned(), statistics);
    found
}

/// Decodes, as the loader does.
struct Pixels {
    decoder: Decoder,
    image: RgbImage,
}

fn faults(
    image: Option<&[u8]>,
    entry: &Entry,
    depth: Depth,
    pixels: &mut Option<Pixels>,
    found: &mut Findings,
) -> Vec<(Cause, String)> {
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
        Some(image) => faults.extend(
            header_fault(image, &entry.header).or_else(|| pixels.as_mut()?.fault(image, found)),
        ),
    }
    faults
}

/// Whether an image whose bytes are those that were packed is another one than the index says.
fn header_fault(image: &[u8], stated: &ImageHeader) -> Option<(Cause, String)> {
    let reason = match identify(image) {
        Content::Image(header) if header == *stated => return None,
        Content::Image(header) => format!(
            "the index says {}, the image is {}",
            described(stated),
            described(&header)
        ),
        Content::Damaged { detected, problem } => format!("unusable {detected}: {problem}"),
        Content::Other => format!("no image (detected: {})", content_name(image)),
    };
    Some((Cause::Header, reason))
}

impl Pixels {
    fn new() -> Self {
        Self {
            decoder: Decoder::new(DEFAULT_PIXEL_LIMIT),
            image: RgbImage::new(),
        }
    }

    /// Why an image has no pixels; damage that was got over is counted.
    fn fault(&mut self, image: &[u8], found: &mut Findings) -> Option<(Cause, String)> {
        match self.decoder.decode(image, &mut self.image) {
            Ok(Outcome::Clean) => None,
            Ok(Outcome::Recovered) => {
                found.count_oddity(oddity::RECOVERED);
                None
            }
            Err(error) => Some((Cause::Undecodable, error.to_string())),
        }
    }
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
