//! `--decode` by the measure of the loader.

use std::path::{Path, PathBuf};

use super::{assert_defects, assert_repairable, offset, report, verify};
use crate::harness::{cats_and_dogs, encoded, folder, large_jpeg, pack, put};

/// A set of three cats, three dogs, and `cat/odd` with these bytes.
fn packed_with(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = folder();
    let (src, set) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src);
    put(src.join("cat/odd.JPEG"), bytes);
    pack(&src, &set, &[], 0);
    (dir, set)
}

fn assert_undecodable(set: &Path, reason: &str) {
    let told = format!("undecodable train-000000.tar cat/odd: the {reason}");
    assert_defects(set, &["--decode"], &[&told]);
    let at = offset(set, "cat/odd");
    let text = verify(set, &["--decode"], 3).stdout;
    let named = format!("bad: train-000000.tar cat/odd offset {at}: the ");
    assert!(text.contains(&named), "{text}");
    assert_repairable(set, 6);
}

fn assert_sound_with(set: &Path, oddity: &str) {
    let report = report(set, &["--decode"], 0);
    assert_eq!(report["oddities"][oddity], 1, "{report:#}");
}

#[test]
fn a_jpeg_that_cannot_be_decoded_is_told_though_its_checksum_holds() {
    let dir = folder();
    let (src, set) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src);
    let frame_only = [
        0xff, 0xd8, 0xff, 0xc0, 0, 17, 8, 0, 40, 0, 40, 3, 1, 17, 0, 2, 17, 0, 3, 17, 0,
    ];
    put(src.join("cat/frame.JPEG"), &frame_only);
    pack(&src, &set, &[], 0);
    let without = verify(&set, &[], 0).stdout;
    assert!(
        without.contains("1 no end marker (cut short?)"),
        "{without}"
    );
    assert_defects(
        &set,
        &["--decode"],
        &["undecodable train-000000.tar cat/frame: the jpeg is truncated"],
    );
    assert_repairable(&set, 6);
}

#[test]
fn a_jpeg_cut_at_half_its_length_is_told() {
    let jpeg = large_jpeg();
    let (_dir, set) = packed_with(&jpeg[..jpeg.len() / 2]);
    verify(&set, &[], 0);
    assert_undecodable(&set, "jpeg is truncated after ");
}

#[test]
fn a_jpeg_that_lacks_its_last_few_bytes_is_told() {
    let jpeg = large_jpeg();
    let (_dir, set) = packed_with(&jpeg[..jpeg.len() - 5]);
    assert_undecodable(&set, "jpeg is truncated after ");
}

#[test]
fn a_jpeg_that_only_lacks_its_end_marker_is_odd_and_no_more() {
    let jpeg = large_jpeg();
    let (_dir, set) = packed_with(&jpeg[..jpeg.len() - 2]);
    assert_sound_with(&set, "no end marker (cut short?)");
}

#[test]
fn extra_bytes_before_a_marker_are_odd_and_no_more() {
    let mut jpeg = large_jpeg();
    let at = jpeg
        .windows(2)
        .position(|pair| pair == [0xff, 0xdb])
        .expect("a table");
    jpeg.splice(at..at, *b"some other bytes");
    let (_dir, set) = packed_with(&jpeg);
    assert_sound_with(&set, "damage that decoders get over");
    jpeg.truncate(jpeg.len() - 2);
    let (_dir, set) = packed_with(&jpeg);
    assert_sound_with(&set, "damage that decoders get over");
    assert_sound_with(&set, "no end marker (cut short?)");
}

#[test]
fn what_the_loader_decodes_is_sound() {
    let jpeg = large_jpeg();
    let (_dir, set) = packed_with(&[jpeg.as_slice(), b"trailing bytes"].concat());
    assert_sound_with(&set, "bytes after the end marker");
    let table = |marker: [u8; 2]| jpeg.windows(2).position(|pair| pair == marker);
    let (codes, scan) = (
        table([0xff, 0xc4]).expect("codes"),
        table([0xff, 0xda]).expect("a scan"),
    );
    let (_dir, set) = packed_with(&[&jpeg[..codes], &jpeg[scan..]].concat());
    verify(&set, &["--decode"], 0);
}

/// A PNG of 12 x 8 indices of zero, whose palette ends within a colour: the decoder panics.
fn png_with_half_a_colour() -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for chunk in [
        b"IHDR\0\0\0\x0c\0\0\0\x08\x08\x03\0\0\0".as_slice(),
        b"PLTEabcd",
        b"IDATx\x9cc`\xa0\x0f\0\0\0h\0\x01",
        b"IEND",
    ] {
        png.extend((chunk.len() as u32 - 4).to_be_bytes());
        png.extend(chunk);
        png.extend(crc32fast::hash(chunk).to_be_bytes());
    }
    png
}

#[test]
fn a_decoder_that_panics_costs_its_file_and_no_more() {
    let (_dir, set) = packed_with(&png_with_half_a_colour());
    assert_undecodable(&set, "png cannot be decoded: the decoder panicked");
}

#[test]
fn a_cut_png_is_told() {
    let png = encoded(7, image::ImageFormat::Png);
    let (_dir, set) = packed_with(&png[..png.len() - 20]);
    assert_undecodable(&set, "png ");
}
