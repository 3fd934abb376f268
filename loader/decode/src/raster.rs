//! PNG, BMP, GIF, PNM and WebP through the `image` crate: the few files of a JPEG data set that are something else.
//!
//! Conversions follow Pillow's `convert("RGB")`: alpha is dropped, not blended. 16-bit values keep their high byte, grey ones too, which Pillow
//! clips.

use std::cell::Cell;
use std::io::{self, Cursor};
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use image::error::UnsupportedErrorKind;
use image::{ColorType, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use crate::content::raster_name;
use crate::error::DecodeError;
use crate::rgb_image::{Outcome, RgbImage, checked_size, resized};

/// Bytes that a decoder may take beside the pixels themselves.
const SCRATCH_BYTES: u64 = 64 << 20;

pub(crate) fn decode(
    bytes: &[u8],
    format: ImageFormat,
    limit: u64,
    image: &mut RgbImage,
) -> Result<Outcome, DecodeError> {
    caught(format, || {
        let fail = |error| failure(error, format, bytes.len());
        let mut decoder = open(bytes, format).map_err(fail)?;
        let (width, height) = size(&decoder, limit)?;
        let color = decoder.color_type();
        let num_bytes = decoder.total_bytes();
        decoder.set_limits(limits(num_bytes)).map_err(fail)?;
        probe_memory(num_bytes)?;
        let mut stored = Vec::new();
        let stored = resized(
            &mut stored,
            usize::try_from(num_bytes).unwrap_or(usize::MAX),
        )?;
        decoder.read_image(stored).map_err(fail)?;
        convert(stored, color, image.reshape(width, height)?).ok_or_else(|| {
            let reason = format!("pixels of type {color:?} are not supported");
            DecodeError::Corrupt {
                kind: raster_name(format),
                reason,
            }
        })?;
        Ok(Outcome::Clean)
    })
}

/// Most buffers of the image's size that a decoder takes beside its scratch.
const NUM_BUFFERS: u64 = 3;

/// Decoders do not all ask whether there is memory, and the process ends where there is none: so this asks before they do.
fn probe_memory(num_bytes: u64) -> Result<(), DecodeError> {
    let wanted = num_bytes
        .saturating_mul(NUM_BUFFERS)
        .saturating_add(SCRATCH_BYTES);
    let num_bytes = usize::try_from(wanted).unwrap_or(usize::MAX);
    let reserved = Vec::<u8>::new().try_reserve_exact(num_bytes);
    reserved.map_err(|_| DecodeError::NoMemory { num_bytes })
}

thread_local! {
    static IS_DECODING: Cell<bool> = const { Cell::new(false) };
}

/// A decoder that panics has found a file that it cannot decode. What it leaves behind is dropped, or overwritten by the next image; nothing is
/// printed, since the caller tells of the file.
fn caught<T>(
    format: ImageFormat,
    decode: impl FnOnce() -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    quiet_while_decoding();
    IS_DECODING.set(true);
    let decoded = catch_unwind(AssertUnwindSafe(decode));
    IS_DECODING.set(false);
    decoded.unwrap_or_else(|_| {
        Err(DecodeError::Corrupt {
            kind: raster_name(format),
            reason: "the decoder panicked".to_owned(),
        })
    })
}

/// Puts a hook before the one that prints panics, once.
fn quiet_while_decoding() {
    static HOOKED: Once = Once::new();
    HOOKED.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !IS_DECODING.get() {
                print(panic);
            }
        }));
    });
}

fn open(bytes: &[u8], format: ImageFormat) -> Result<impl ImageDecoder + '_, ImageError> {
    ImageReader::with_format(Cursor::new(bytes), format).into_decoder()
}

fn size(decoder: &impl ImageDecoder, limit: u64) -> Result<(u32, u32), DecodeError> {
    let (width, height) = decoder.dimensions();
    checked_size(width.into(), height.into(), limit)
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
    let kind = raster_name(format);
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
        other => in_one_line(&other.to_string()),
    };
    DecodeError::Corrupt { kind, reason }
}

/// What a library says, which may have lines and end in one.
fn in_one_line(reason: &str) -> String {
    reason.split_whitespace().collect::<Vec<_>>().join(" ")
}
