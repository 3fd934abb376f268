//! Whether an image decodes, by the measure of the loader.
//!
//! The loader decodes JPEG with libjpeg-turbo and refuses what its data end before; extra bytes before a marker, bad codes
//! in the middle and a missing end marker behind complete data it gets over. The decoder here is another one (zune-jpeg). It
//! fills up with grey what is missing, so the end of the data is looked at separately ([`entropy`]).

use std::io::Cursor;
use std::panic::catch_unwind;

use image::{ImageFormat, ImageReader, Limits};
use shard_format::{ImageHeader, ImageKind};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

mod entropy;

/// The loader refuses a larger image before memory is taken.
pub(crate) const MAX_PIXELS_OF_LOADER: u64 = 178_956_970;
/// Red, green, blue and alpha of 16 bits, and as much to work with.
const MAX_BYTES_PER_PIXEL: u64 = 16;
const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];
const START_OF_SCAN: [u8; 2] = [0xff, 0xda];

/// How an image decodes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    Clean,
    /// There is damage, and yet every row has pixels.
    Recovered,
    /// Why there are no pixels.
    Bad(String),
}

/// Decodes an image of this header, unless it has more than `max_pixels`.
pub(crate) fn decode(image: &[u8], header: &ImageHeader, max_pixels: u64) -> Decoded {
    let (width, height) = (header.width, header.height);
    if u64::from(width) * u64::from(height) > max_pixels {
        let reason = format!("{width} x {height} pixels are more than {max_pixels}");
        return Decoded::Bad(reason);
    }
    let decode = || match header.kind {
        ImageKind::Png => decode_png(image, max_pixels),
        kind => decode_jpeg(image, kind),
    };
    match catch_unwind(decode) {
        Ok(Decoded::Bad(reason)) => Decoded::Bad(in_one_line(&reason)),
        Ok(decoded) => decoded,
        Err(_) => Decoded::Bad("the decoder gave up".to_owned()),
    }
}

/// What a decoder says, which may have lines and end in one.
pub(crate) fn in_one_line(reason: &str) -> String {
    reason.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn decode_png(image: &[u8], max_pixels: u64) -> Decoded {
    let mut reader = ImageReader::with_format(Cursor::new(image), ImageFormat::Png);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_BYTES_PER_PIXEL * max_pixels);
    reader.limits(limits);
    match reader.decode() {
        Ok(_) => Decoded::Clean,
        Err(error) => Decoded::Bad(error.to_string()),
    }
}

fn decode_jpeg(image: &[u8], kind: ImageKind) -> Decoded {
    if ends_its_last_scan(image) {
        return decode_ended(image);
    }
    if kind == ImageKind::JpegProgressive {
        return Decoded::Bad("it is cut short: a progressive image without end marker".to_owned());
    }
    // The decoder first: it knows better what is wrong with a header.
    match decode_ended(&[image, &END_OF_IMAGE].concat()) {
        Decoded::Bad(reason) => Decoded::Bad(reason),
        decoded => match entropy::check(image) {
            Ok(()) => decoded,
            Err(reason) => Decoded::Bad(format!("it is cut short: {reason}")),
        },
    }
}

/// Decodes a JPEG that has an end marker. What the strict decoder refuses, the lenient one may get over, as the loader does.
fn decode_ended(image: &[u8]) -> Decoded {
    if run(image, true).is_ok() {
        return Decoded::Clean;
    }
    match run(image, false) {
        Ok(()) => Decoded::Recovered,
        Err(reason) => Decoded::Bad(reason),
    }
}

fn run(image: &[u8], is_strict: bool) -> Result<(), String> {
    let options = DecoderOptions::default()
        .set_strict_mode(is_strict)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(image), options);
    decoder
        .decode_headers()
        .map_err(|error| format!("{error:?}"))?;
    let colours = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => ColorSpace::Luma,
        _ => ColorSpace::RGB,
    };
    decoder.set_options(decoder.options().jpeg_set_out_colorspace(colours));
    let decoded = decoder.decode();
    decoded.map(drop).map_err(|error| format!("{error:?}"))
}

/// Whether an end marker follows the last start of a scan. Inside a scan, `ff` is always followed by `00` or a restart marker.
fn ends_its_last_scan(jpeg: &[u8]) -> bool {
    let last_end = jpeg.windows(2).rposition(|pair| pair == END_OF_IMAGE);
    let behind = last_end.map(|at| &jpeg[at..]);
    behind.is_some_and(|behind| !behind.windows(2).any(|pair| pair == START_OF_SCAN))
}
