use proptest::prelude::*;
use turbojpeg::Subsamp;

use super::*;
use crate::{DecodeError, Outcome};

fn decode(bytes: &[u8]) -> (Result<Outcome, DecodeError>, RgbImage) {
    let mut image = RgbImage::new();
    let decoded = Decoder::new(DEFAULT_PIXEL_LIMIT).decode(bytes, &mut image);
    (decoded, image)
}

/// A JPEG of diagonal stripes.
fn jpeg(width: usize, height: usize, format: turbojpeg::PixelFormat) -> Vec<u8> {
    let pitch = width * format.size();
    let value = |at: usize| ((at % pitch + at / pitch * 3) * 5) as u8;
    let pixels: Vec<u8> = (0..pitch * height).map(value).collect();
    let picture = turbojpeg::Image {
        pixels: &pixels[..],
        width,
        pitch,
        height,
        format,
    };
    turbojpeg::compress(picture, 90, Subsamp::None)
        .expect("stripes compress")
        .to_vec()
}

fn rgb_jpeg(width: usize, height: usize) -> Vec<u8> {
    jpeg(width, height, turbojpeg::PixelFormat::RGB)
}

#[test]
fn a_truncated_jpeg_is_refused_as_truncated() {
    let whole = rgb_jpeg(90, 70);
    for len in [whole.len() / 2, whole.len() - 20, 200] {
        let expected = DecodeError::Truncated { kind: "jpeg", len };
        assert_eq!(decode(&whole[..len]).0, Err(expected));
    }
}

#[test]
fn a_jpeg_without_its_end_marker_is_recovered_whole() {
    let whole = rgb_jpeg(90, 70);
    let (outcome, image) = decode(&whole[..whole.len() - 2]);
    assert_eq!(outcome, Ok(Outcome::Recovered));
    assert_eq!(image, decode(&whole).1);
}

#[test]
fn bytes_between_the_header_markers_are_got_over() {
    let whole = rgb_jpeg(33, 20);
    let damaged = [&whole[..20], b"no marker", &whole[20..]].concat();
    let (outcome, image) = decode(&damaged);
    assert_eq!(outcome, Ok(Outcome::Recovered));
    assert_eq!(image, decode(&whole).1);
}

#[test]
fn damage_in_the_middle_of_a_scan_is_counted_as_recovered() {
    let mut damaged = rgb_jpeg(90, 70);
    let middle = damaged.len() / 2;
    damaged[middle..middle + 2].copy_from_slice(&[0xff, 0xd9]);
    assert_eq!(decode(&damaged).0, Ok(Outcome::Recovered));
}

#[test]
fn an_image_over_the_pixel_limit_is_refused_before_memory_is_taken() {
    let mut lying = rgb_jpeg(16, 16);
    let frame = lying
        .windows(2)
        .position(|pair| pair == [0xff, 0xc0])
        .expect("a frame header");
    lying[frame + 5..frame + 9].copy_from_slice(&[0xfd, 0xe8, 0xfd, 0xe8]);
    let (outcome, image) = decode(&lying);
    let size = 65000;
    let limit = DEFAULT_PIXEL_LIMIT;
    assert_eq!(
        outcome,
        Err(DecodeError::TooLarge {
            width: size,
            height: size,
            limit
        })
    );
    assert_eq!(image, RgbImage::new());
    let mut small = Decoder::new(16 * 16);
    let mut image = RgbImage::new();
    assert_eq!(
        small.decode(&rgb_jpeg(16, 16), &mut image),
        Ok(Outcome::Clean)
    );
    assert!(small.decode(&rgb_jpeg(16, 17), &mut image).is_err());
}

#[test]
fn content_that_is_no_image_is_refused_with_what_it_looks_like() {
    let error = decode(b"<html>not found</html>").0.expect_err("no image");
    let text = "not an image that can be decoded (detected: html)";
    assert_eq!(error.to_string(), text);
    assert!(
        decode(b"")
            .0
            .expect_err("no image")
            .to_string()
            .contains("detected: empty")
    );
}

#[test]
fn a_decoder_that_met_garbage_decodes_the_next_image() {
    let mut decoder = Decoder::new(DEFAULT_PIXEL_LIMIT);
    let mut image = RgbImage::new();
    let whole = rgb_jpeg(40, 30);
    let expected = decode(&whole).1;
    for garbage in [&whole[..100], b"\xff\xd8\xff\xe0garbage", b"\xff\xd8\xff"] {
        assert!(decoder.decode(garbage, &mut image).is_err());
        assert_eq!(decoder.decode(&whole, &mut image), Ok(Outcome::Clean));
        assert_eq!(image, expected);
    }
}

#[test]
fn a_smaller_image_after_a_larger_one_keeps_the_buffer() {
    let mut decoder = Decoder::new(DEFAULT_PIXEL_LIMIT);
    let mut image = RgbImage::new();
    decoder
        .decode(&rgb_jpeg(64, 64), &mut image)
        .expect("stripes decode");
    let buffer = image.pixels().as_ptr();
    decoder
        .decode(&rgb_jpeg(9, 5), &mut image)
        .expect("stripes decode");
    assert_eq!(
        (image.width(), image.height(), image.pixels().len()),
        (9, 5, 135)
    );
    assert_eq!(image.pixels().as_ptr(), buffer);
}

#[test]
fn inks_of_a_cmyk_jpeg_are_taken_as_adobe_inverts_them() {
    let inks = [255, 255, 255, 255].repeat(64);
    let picture = turbojpeg::Image {
        pixels: &inks[..],
        width: 8,
        pitch: 32,
        height: 8,
        format: turbojpeg::PixelFormat::CMYK,
    };
    let white = turbojpeg::compress(picture, 95, Subsamp::None).expect("white compresses");
    let (outcome, image) = decode(&white);
    assert_eq!(outcome, Ok(Outcome::Clean));
    assert!(
        image.pixels().iter().all(|&value| value >= 254),
        "{:?}",
        &image.pixels()[..3]
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn arbitrary_bytes_after_a_magic_number_never_panic(
        magic in prop::sample::select(vec![
            &b"\xff\xd8\xff"[..], b"P6\n", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF89a", b"RIFF\x40\0\0\0WEBPVP8 ",
        ]),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut limited = Decoder::new(1 << 20);
        let _ = limited.decode(&[magic, &bytes].concat(), &mut RgbImage::new());
    }

    #[test]
    fn a_mutated_jpeg_gives_all_its_pixels_or_an_error(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        len in any::<prop::sample::Index>(),
        cmyk in any::<bool>(),
    ) {
        use turbojpeg::PixelFormat::{CMYK, RGB};
        let mut bytes = jpeg(37, 23, if cmyk { CMYK } else { RGB });
        for (index, value) in changes {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(len.index(bytes.len() * 4) + 1);
        let mut limited = Decoder::new(1 << 20);
        let mut image = RgbImage::new();
        if limited.decode(&bytes, &mut image).is_ok() {
            let num_pixels = u64::from(image.width()) * u64::from(image.height());
            prop_assert!(num_pixels > 0 && num_pixels <= 1 << 20);
            prop_assert_eq!(image.pixels().len() as u64, num_pixels * 3);
        }
    }
}
