//! The header of a JPEG, as far as its first frame.
//!
//! Sources: ITU-T T.81, and the Adobe APP14 segment as described in Adobe technical note 5116. The colour model follows the
//! convention of libjpeg, which is what decoders go by.

use crate::sample::{ColourModel, ImageHeader, ImageKind};

/// How a JPEG starts: the start of the image, and of the next marker.
pub(super) const MAGIC: &[u8] = &[0xff, 0xd8, 0xff];

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
pub(super) const APP0: u8 = 0xe0;
pub(super) const APP14: u8 = 0xee;

/// What the segments before the frame header say of the colours.
#[derive(Debug, Default)]
struct ColourHints {
    jfif: bool,
    adobe_transform: Option<u8>,
}

/// Size, kind and colours by the frame header, or what hinders.
pub(super) fn header(bytes: &[u8]) -> Result<ImageHeader, &'static str> {
    let mut hints = ColourHints::default();
    let mut rest = &bytes[2..];
    while let Some((marker, after)) = next_marker(rest) {
        if marker == EOI || marker == SOS {
            return Err("no frame header before the image data");
        }
        if is_alone(marker) {
            rest = after;
            continue;
        }
        let (segment, after) = split_segment(after)?;
        match marker {
            APP0 => hints.jfif |= segment.starts_with(b"JFIF\0"),
            APP14 if segment.starts_with(b"Adobe") => {
                hints.adobe_transform = segment.get(11).copied();
            }
            _ => {
                if let Some(kind) = frame_kind(marker) {
                    return frame_header(kind, segment, &hints);
                }
            }
        }
        rest = after;
    }
    Err("the file ends before the frame header")
}

/// The next marker of a JPEG and what follows it. Fill bytes and stray bytes before it are passed over, as
/// decoders do.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let mut at = 0;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == 0xff)?;
        at += bytes.get(at..)?.iter().position(|byte| *byte != 0xff)?;
        if bytes[at] != 0 {
            return Some((bytes[at], &bytes[at + 1..]));
        }
    }
}

/// Whether a marker has no segment: TEM, restart markers, start of image.
fn is_alone(marker: u8) -> bool {
    matches!(marker, 0x01 | 0xd0..=0xd7 | SOI)
}

/// The segment that follows a marker, without its length, and what follows it.
///
/// # Errors
/// What is wrong with its length.
fn split_segment(bytes: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    let [high, low, ..] = bytes else {
        return Err("the file ends before the frame header");
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if length < 2 {
        return Err("a segment has an impossible length");
    }
    match bytes.split_at_checked(length) {
        Some((segment, after)) => Ok((&segment[2..], after)),
        None => Err("the file ends before the frame header"),
    }
}

fn frame_kind(marker: u8) -> Option<ImageKind> {
    Some(match marker {
        0xc0 => ImageKind::JpegBaseline,
        0xc1 => ImageKind::JpegExtended,
        0xc2 => ImageKind::JpegProgressive,
        0xc3 | 0xcb => ImageKind::JpegLossless,
        0xc5..=0xc7 | 0xcd..=0xcf => ImageKind::JpegHierarchical,
        0xc9 => ImageKind::JpegArithmetic,
        0xca => ImageKind::JpegArithmeticProgressive,
        _ => return None,
    })
}

fn frame_header(
    kind: ImageKind,
    segment: &[u8],
    hints: &ColourHints,
) -> Result<ImageHeader, &'static str> {
    let [bits, h1, h0, w1, w0, num_components, components @ ..] = segment else {
        return Err("the frame header is cut short");
    };
    let components = components
        .get(..3 * usize::from(*num_components))
        .ok_or("the frame header is cut short")?;
    let ids: Vec<u8> = components
        .chunks_exact(3)
        .map(|component| component[0])
        .collect();
    Ok(ImageHeader {
        kind,
        colour: colour(&ids, hints),
        bits: *bits,
        width: u32::from(u16::from_be_bytes([*w1, *w0])),
        height: u32::from(u16::from_be_bytes([*h1, *h0])),
    })
}

fn colour(component_ids: &[u8], hints: &ColourHints) -> ColourModel {
    match (component_ids, hints.adobe_transform) {
        ([_], _) => ColourModel::Grey,
        ([_, _, _], Some(0)) if !hints.jfif => ColourModel::Rgb,
        (b"RGB", None) if !hints.jfif => ColourModel::Rgb,
        ([_, _, _], _) => ColourModel::YCbCr,
        ([_, _, _, _], Some(transform)) if transform != 0 => ColourModel::Ycck,
        ([_, _, _, _], _) => ColourModel::Cmyk,
        _ => ColourModel::Other,
    }
}
