//! PNG, BMP, GIF and WebP through the `image` crate: the few files of a JPEG data set that are something else.
//!
//! Conversions follow Pillow's `convert("RGB")`: 16-bit values keep their high byte, alpha is dropped, not blended.

use std::io::{self, Cursor};

use image::error::UnsupportedErrorKind;
use image::{ColorType, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::{DecodeError, Outcome, RgbImage, checked_size};

/// Bytes that a decoder may take beside the pixels themselves.
const SCRATCH_BYTES: u64 = 64 << 20;

pub(super) fn decode(
    bytes: &[u8],
    format: ImageFormat,
    pixel_limit: u64,
    image: &mut RgbImage,
) -> Result<Outcome, DecodeError> {
    let fail = |error| failure(error, format, bytes.len());
    let mut decoder = open(bytes, format).map_err(fail)?;
    let (width, height) = decoder.dimensions();
    let (width, height) = checked_size(width.into(), height.into(), pixel_limit)?;
    let color = decoder.color_type();
    let num_bytes = decoder.total_bytes();
    decoder.set_limits(limits(num_bytes)).map_err(fail)?;
    let mut stored = vec![0; usize::try_from(num_bytes).unwrap_or(usize::MAX)];
    decoder.read_image(&mut stored).map_err(fail)?;
    convert(&stored, color, image.reshape(width, height)).ok_or_else(|| DecodeError::Corrupt {
        kind: name(format),
        reason: format!("pixels of type {color:?} are not supported"),
    })?;
    Ok(Outcome::Clean)
}

fn open(bytes: &[u8], format: ImageFormat) -> Result<impl ImageDecoder + '_, ImageError> {
    ImageReader::with_format(Cursor::new(bytes), format).into_decoder()
}

fn limits(num_bytes: u64) -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(num_bytes.saturating_mul(2).saturating_add(SCRATCH_BYTES));
    limits
}

/// Writes the first three channels (or the grey one thrice) of every pixel; `None` for floating-point pixels.
fn convert(stored: &[u8], color: ColorType, rgb: &mut [u8]) -> Option<()> {
    let (num_channels, num_bytes) = match color {
        ColorType::L8 => (1, 1),
        ColorType::La8 => (2, 1),
        ColorType::Rgb8 => (3, 1),
        ColorType::Rgba8 => (4, 1),
        ColorType::L16 => (1, 2),
        ColorType::La16 => (2, 2),
        ColorType::Rgb16 => (3, 2),
        ColorType::Rgba16 => (4, 2),
        _ => return None,
    };
    // 16-bit values come in the machine's byte order.
    let high_byte = if cfg!(target_endian = "little") {
        num_bytes - 1
    } else {
        0
    };
    let step = if num_channels >= 3 { num_bytes } else { 0 };
    let pixels = stored.chunks_exact(num_channels * num_bytes);
    for (pixel, out) in pixels.zip(rgb.chunks_exact_mut(3)) {
        for (channel, value) in out.iter_mut().enumerate() {
            *value = pixel[channel * step + high_byte];
        }
    }
    Some(())
}

fn failure(error: ImageError, format: ImageFormat, len: usize) -> DecodeError {
    let kind = name(format);
    if let ImageError::IoError(cause) = &error
        && cause.kind() == io::ErrorKind::UnexpectedEof
    {
        return DecodeError::Truncated { kind, len };
    }
    let reason = match &error {
        ImageError::Unsupported(cause)
            if matches!(cause.kind(), UnsupportedErrorKind::Color(_)) =>
        {
            "its pixel type is not supported".to_owned()
        }
        other => other.to_string(),
    };
    DecodeError::Corrupt { kind, reason }
}

fn name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Png => "PNG",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Gif => "GIF",
        _ => "WebP",
    }
}
