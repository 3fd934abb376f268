//! Headers of files that are made by hand.

use super::*;
use crate::sample::{ColourModel, ImageKind};
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
        &[(jpeg::APP0, b"JFIF\0\x01\x01"), (0xe1, &[0xff; 300])],
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
    let jfif: (u8, &[u8]) = (jpeg::APP0, b"JFIF\0\x01\x01");
    assert_eq!(colour(&[], &[1]), ColourModel::Grey);
    assert_eq!(colour(&[], &[1, 2, 3]), ColourModel::YCbCr);
    assert_eq!(colour(&[], b"RGB"), ColourModel::Rgb);
    assert_eq!(
        colour(&[(jpeg::APP14, &adobe(0))], &[1, 2, 3]),
        ColourModel::Rgb
    );
    assert_eq!(
        colour(&[(jpeg::APP14, &adobe(1))], &[1, 2, 3]),
        ColourModel::YCbCr
    );
    assert_eq!(
        colour(&[jfif, (jpeg::APP14, &adobe(0))], &[1, 2, 3]),
        ColourModel::YCbCr
    );
    assert_eq!(colour(&[], &[1, 2, 3, 4]), ColourModel::Cmyk);
    assert_eq!(
        colour(&[(jpeg::APP14, &adobe(0))], &[1, 2, 3, 4]),
        ColourModel::Cmyk
    );
    assert_eq!(
        colour(&[(jpeg::APP14, &adobe(2))], &[1, 2, 3, 4]),
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
    let bytes = jpeg(&[(jpeg::APP0, b"JFIF\0\x01\x01")], 0xc0, &[1, 2, 3]);
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
    let mut bytes = png::MAGIC.to_vec();
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
fn other_files_are_told_apart_from_images() {
    for bytes in [b"".as_slice(), b"GIF89a..", b"hello\n", b"\xff\xd8"] {
        assert_eq!(identify(bytes), Content::Other, "{bytes:?}");
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
        let magic: &[u8] = if png { png::MAGIC } else { jpeg::MAGIC };
        identify(&[magic, &tail].concat());
    }

    #[test]
    fn a_flipped_byte_of_a_jpeg_does_not_make_it_panic(at in 0usize..200, byte in any::<u8>()) {
        let mut bytes = jpeg(&[(jpeg::APP0, b"JFIF\0\x01\x01"), (jpeg::APP14, &adobe(2))], 0xc0, b"abcd");
        let at = at % bytes.len();
        bytes[at] = byte;
        identify(&bytes);
    }
}
