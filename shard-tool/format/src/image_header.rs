//! Recognises a file by its content and reads the header of JPEG and PNG without decoding.
//!
//! Pure: bytes in, facts out; it never panics, whatever the bytes. It does not know whether the
//! coded image is whole. Sources: ITU-T T.81 (JPEG), the Adobe APP14 segment as described in Adobe
//! technical note 5116, and ISO 15948 (PNG). The colour model of a JPEG follows the convention of
//! libjpeg, which is what decoders go by.

use crate::sample::{ColourModel, ImageHeader, ImageKind};

/// What a file turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A JPEG or PNG with a readable header.
    Image(ImageHeader),
    /// It starts like a JPEG or PNG, but its header is of no use.
    Damaged {
        /// `jpeg` or `png`.
        detected: &'static str,
        /// What is wrong with the header.
        problem: &'static str,
    },
    /// Anything else, by name: `empty`, `text`, `gif`, ... or `unknown`.
    Other(&'static str),
}

/// Recognises `bytes`, which start at the beginning of the file.
/// The header of a JPEG may lie behind megabytes of metadata: give the whole file.
pub fn identify(bytes: &[u8]) -> Content {
    let (detected, header) = if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
        ("jpeg", jpeg_header(bytes))
    } else if bytes.starts_with(PNG_MAGIC) {
        ("png", png_header(bytes))
    } else {
        return Content::Other(other_type(bytes));
    };
    match header {
        Ok(header) if header.width == 0 || header.height == 0 => Content::Damaged {
            detected,
            problem: "width or height is zero",
        },
        Ok(header) => Content::Image(header),
        Err(problem) => Content::Damaged { detected, problem },
    }
}

const PNG_MAGIC: &[u8] = b"\x89PNG\r\n\x1a\n";

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const APP0: u8 = 0xe0;
const APP14: u8 = 0xee;

/// What the segments before the frame header say of the colours.
#[derive(Debug, Default)]
struct ColourHints {
    jfif: bool,
    adobe_transform: Option<u8>,
}

fn jpeg_header(bytes: &[u8]) -> Result<ImageHeader, &'static str> {
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
pub fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
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
pub fn is_alone(marker: u8) -> bool {
    matches!(marker, 0x01 | 0xd0..=0xd7 | SOI)
}

/// The segment that follows a marker, without its length, and what is behind it.
///
/// # Errors
/// What is wrong with its length.
pub fn split_segment(bytes: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
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
        colour: jpeg_colour(&ids, hints),
        bits: *bits,
        width: u32::from(u16::from_be_bytes([*w1, *w0])),
        height: u32::from(u16::from_be_bytes([*h1, *h0])),
    })
}

fn jpeg_colour(component_ids: &[u8], hints: &ColourHints) -> ColourModel {
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

fn png_header(bytes: &[u8]) -> Result<ImageHeader, &'static str> {
    let chunk = bytes.get(8..26).ok_or("the file ends within the header")?;
    if chunk[..8] != *b"\0\0\0\x0dIHDR" {
        return Err("the first chunk is not IHDR");
    }
    let number =
        |at: usize| u32::from_be_bytes([chunk[at], chunk[at + 1], chunk[at + 2], chunk[at + 3]]);
    let colour = match chunk[17] {
        0 => ColourModel::Grey,
        2 => ColourModel::Rgb,
        3 => ColourModel::Palette,
        4 => ColourModel::GreyAlpha,
        6 => ColourModel::Rgba,
        _ => return Err("the colour type is none of PNG's"),
    };
    Ok(ImageHeader {
        kind: ImageKind::Png,
        colour,
        bits: chunk[16],
        width: number(8),
        height: number(12),
    })
}

/// First bytes by which other types are known; `name` is what reports call them.
const MAGICS: &[(&[u8], &str)] = &[
    (b"GIF8", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"\0\0\0\x0cJXL ", "jpeg-xl"),
    (b"\xff\x0a", "jpeg-xl"),
    (b"\0\0\0\x0cjP  ", "jpeg-2000"),
    (b"8BPS", "psd"),
    (b"%PDF", "pdf"),
    (b"PK\x03\x04", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"\x7fELF", "elf"),
];

fn other_type(bytes: &[u8]) -> &'static str {
    if bytes.is_empty() {
        return "empty";
    }
    if let Some((_, name)) = MAGICS.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return name;
    }
    if bytes.starts_with(b"BM") && bytes.get(6..10) == Some(&[0; 4]) {
        return "bmp";
    }
    match (bytes.get(..4), bytes.get(4..8), bytes.get(8..12)) {
        (Some(b"RIFF"), _, Some(b"WEBP")) => "webp",
        (_, Some(b"ftyp"), Some(brand)) => iso_media_type(brand),
        _ if bytes.get(257..262) == Some(b"ustar") => "tar",
        _ if bytes.iter().take(512).all(|byte| *byte == 0) => "zeros",
        _ => text_type(bytes),
    }
}

fn iso_media_type(brand: &[u8]) -> &'static str {
    match brand {
        b"avif" | b"avis" => "avif",
        b"heic" | b"heix" | b"hevc" | b"heim" | b"heis" | b"mif1" | b"msf1" => "heif",
        _ => "video",
    }
}

fn text_type(bytes: &[u8]) -> &'static str {
    let head = &bytes[..bytes.len().min(512)];
    let is_text_byte = |byte: &u8| !matches!(byte, 0..=8 | 0x0e..=0x1a | 0x1c..=0x1f | 0x7f);
    let valid = match std::str::from_utf8(head) {
        Ok(_) => true,
        // The last character may be cut by taking only the head.
        Err(error) => error.error_len().is_none() && head.len() < bytes.len(),
    };
    if !valid || !head.iter().all(is_text_byte) {
        return "unknown";
    }
    let start: Vec<u8> = head
        .iter()
        .copied()
        .skip_while(u8::is_ascii_whitespace)
        .take(14)
        .collect();
    let lower = start.to_ascii_lowercase();
    let starts = |prefix: &[u8]| lower.starts_with(prefix);
    if starts(b"<!doctype html") || starts(b"<html") {
        "html"
    } else if starts(b"<svg") || starts(b"<?xml") {
        "xml"
    } else {
        "text"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A JPEG up to the end of its frame header, with the given segments before it.
    fn jpeg(segments: &[(u8, &[u8])], sof: u8, ids: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0xff, 0xd8];
        let mut push = |marker: u8, body: &[u8]| {
            bytes.extend([0xff, marker]);
            bytes.extend((body.len() as u16 + 2).to_be_bytes());
            bytes.extend(body);
        };
        segments
            .iter()
            .for_each(|(marker, body)| push(*marker, body));
        let mut frame = vec![8, 0, 48, 0, 64, ids.len() as u8];
        ids.iter().for_each(|id| frame.extend([*id, 0x11, 0]));
        push(sof, &frame);
        bytes
    }

    fn colour(segments: &[(u8, &[u8])], ids: &[u8]) -> ColourModel {
        match identify(&jpeg(segments, 0xc0, ids)) {
            Content::Image(header) => header.colour,
            other => panic!("not an image: {other:?}"),
        }
    }

    fn adobe(transform: u8) -> Vec<u8> {
        [b"Adobe\0\x64\0\0\0\0".as_slice(), &[transform]].concat()
    }

    #[test]
    fn size_and_kind_come_from_the_frame_header() {
        let expected = ImageHeader {
            kind: ImageKind::JpegProgressive,
            colour: ColourModel::YCbCr,
            bits: 8,
            width: 64,
            height: 48,
        };
        let bytes = jpeg(
            &[(APP0, b"JFIF\0\x01\x01"), (0xe1, &[0xff; 300])],
            0xc2,
            &[1, 2, 3],
        );
        assert_eq!(identify(&bytes), Content::Image(expected));
    }

    #[test]
    fn every_frame_marker_has_its_kind() {
        for (marker, kind) in [
            (0xc0, ImageKind::JpegBaseline),
            (0xc1, ImageKind::JpegExtended),
            (0xc3, ImageKind::JpegLossless),
            (0xc9, ImageKind::JpegArithmetic),
            (0xca, ImageKind::JpegArithmeticProgressive),
            (0xc5, ImageKind::JpegHierarchical),
        ] {
            let Content::Image(header) = identify(&jpeg(&[], marker, &[1])) else {
                panic!("marker {marker:x} is not a frame");
            };
            assert_eq!(header.kind, kind);
        }
    }

    #[test]
    fn the_colour_model_follows_jfif_adobe_and_component_ids() {
        let jfif: (u8, &[u8]) = (APP0, b"JFIF\0\x01\x01");
        assert_eq!(colour(&[], &[1]), ColourModel::Grey);
        assert_eq!(colour(&[], &[1, 2, 3]), ColourModel::YCbCr);
        assert_eq!(colour(&[], b"RGB"), ColourModel::Rgb);
        assert_eq!(colour(&[(APP14, &adobe(0))], &[1, 2, 3]), ColourModel::Rgb);
        assert_eq!(
            colour(&[(APP14, &adobe(1))], &[1, 2, 3]),
            ColourModel::YCbCr
        );
        assert_eq!(
            colour(&[jfif, (APP14, &adobe(0))], &[1, 2, 3]),
            ColourModel::YCbCr
        );
        assert_eq!(colour(&[], &[1, 2, 3, 4]), ColourModel::Cmyk);
        assert_eq!(
            colour(&[(APP14, &adobe(0))], &[1, 2, 3, 4]),
            ColourModel::Cmyk
        );
        assert_eq!(
            colour(&[(APP14, &adobe(2))], &[1, 2, 3, 4]),
            ColourModel::Ycck
        );
        assert_eq!(colour(&[], &[1, 2]), ColourModel::Other);
    }

    #[test]
    fn stray_and_fill_bytes_before_a_marker_are_passed_over() {
        let mut bytes = jpeg(&[], 0xc0, &[1, 2, 3]);
        bytes.splice(2..2, [0xff, 0x00, 0x17, 0xff, 0xff]);
        bytes.insert(2, 0xff);
        assert!(matches!(identify(&bytes), Content::Image(_)));
    }

    #[test]
    fn a_jpeg_cut_before_its_frame_header_is_damaged() {
        let bytes = jpeg(&[(APP0, b"JFIF\0\x01\x01")], 0xc0, &[1, 2, 3]);
        for length in 3..bytes.len() {
            let content = identify(&bytes[..length]);
            assert!(
                matches!(
                    content,
                    Content::Damaged {
                        detected: "jpeg",
                        ..
                    }
                ),
                "at {length}"
            );
        }
    }

    #[test]
    fn an_image_without_area_is_damaged() {
        let mut bytes = jpeg(&[], 0xc0, &[1]);
        let width = bytes.len() - 6;
        bytes[width..width + 2].fill(0);
        let problem = "width or height is zero";
        assert_eq!(
            identify(&bytes),
            Content::Damaged {
                detected: "jpeg",
                problem
            }
        );
    }

    #[test]
    fn a_png_is_known_by_its_first_chunk() {
        let mut bytes = PNG_MAGIC.to_vec();
        bytes.extend(b"\0\0\0\x0dIHDR\0\0\x01\0\0\0\0\x07\x10\x06\0\0\0");
        let expected = ImageHeader {
            kind: ImageKind::Png,
            colour: ColourModel::Rgba,
            bits: 16,
            width: 256,
            height: 7,
        };
        assert_eq!(identify(&bytes), Content::Image(expected));
        assert!(matches!(
            identify(&bytes[..20]),
            Content::Damaged {
                detected: "png",
                ..
            }
        ));
    }

    #[test]
    fn other_files_are_named() {
        for (bytes, name) in [
            (b"".as_slice(), "empty"),
            (b"hello\n", "text"),
            ("gr\u{fc}n".as_bytes(), "text"),
            (b"\n<!DOCTYPE html><p>404", "html"),
            (b"<?xml version='1.0'?><svg/>", "xml"),
            (b"GIF89a..", "gif"),
            (b"RIFF\0\0\0\0WEBPVP8 ", "webp"),
            (b"\0\0\0\x18ftypheic\0", "heif"),
            (b"BM\x36\0\0\0\0\0\0\0", "bmp"),
            (&[0; 100], "zeros"),
            (b"\x01\x02\xfe\xff", "unknown"),
        ] {
            assert_eq!(identify(bytes), Content::Other(name), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            identify(&bytes);
        }

        #[test]
        fn no_bytes_behind_a_magic_make_it_panic(
            tail in prop::collection::vec(prop_oneof![Just(0xff), any::<u8>()], 0..300),
            png in any::<bool>(),
        ) {
            let magic: &[u8] = if png { PNG_MAGIC } else { &[0xff, 0xd8, 0xff] };
            identify(&[magic, &tail].concat());
        }

        #[test]
        fn a_flipped_byte_of_a_jpeg_does_not_make_it_panic(at in 0usize..200, byte in any::<u8>()) {
            let mut bytes = jpeg(&[(APP0, b"JFIF\0\x01\x01"), (APP14, &adobe(2))], 0xc0, b"abcd");
            let at = at % bytes.len();
            bytes[at] = byte;
            identify(&bytes);
        }
    }
}
