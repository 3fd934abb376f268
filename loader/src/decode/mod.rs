//! From the bytes of a sample to 8-bit RGB pixels, on the CPU.
//!
//! The kind of a file is told from its content, never from its name. Pixels are those that Pillow's `convert("RGB")`
//! gives: grey is repeated, alpha is dropped, CMYK is taken as Adobe writes it, orientation tags are left alone.
//! Nothing here knows about samples, shards or views. A decoder belongs to one thread; every decoding thread has its own.

mod detect;
mod raster;
mod repair;
mod turbo;

use thiserror::Error;

use detect::Kind;
use turbo::JpegDecoder;

/// Most pixels an image may have unless told otherwise: the size at which Pillow refuses to go on (2 * 2^30 / 4 / 3).
pub const DEFAULT_PIXEL_LIMIT: u64 = 178_956_970;

/// An 8-bit RGB image: `height` rows of `width` pixels of 3 bytes, no padding.
///
/// The buffer is kept from image to image, so that a decoding thread stops allocating once it has seen its largest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RgbImage {
    width: u32,
    height: u32,
    data: Vec<u8>,
}

/// How well an image decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The file was sound.
    Clean,
    /// The file was damaged (bytes between markers, a bad code, no end marker), yet every row has pixels.
    Recovered,
}

/// Why a sample has no pixels. The caller knows the shard and key and adds them.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The data end before the last row.
    #[error("the {kind} is truncated after {len} bytes; fetch the file again")]
    Truncated {
        /// File type, such as `JPEG`.
        kind: &'static str,
        /// Number of bytes there are.
        len: usize,
    },
    /// The data contradict the format, or use a part of it that is not supported.
    #[error("the {kind} cannot be decoded: {reason}; replace the file")]
    Corrupt {
        /// File type, such as `JPEG`.
        kind: &'static str,
        /// What the library said.
        reason: String,
    },
    /// The header promises more pixels than the limit.
    #[error(
        "the image has {width} x {height} pixels, the limit is {limit}; shrink it or raise the pixel limit"
    )]
    TooLarge {
        /// Width in pixels.
        width: u64,
        /// Height in pixels.
        height: u64,
        /// Most pixels allowed.
        limit: u64,
    },
    /// The content is not an image of a known type.
    #[error("the sample is {detected}, not a JPEG, PNG, BMP, GIF or WebP image; leave it out")]
    UnknownType {
        /// What the content looks like, with its article.
        detected: String,
    },
    /// The decoding library itself could not be set up.
    #[error("the JPEG library cannot start: {reason}; check the memory limit")]
    Library {
        /// What the library said.
        reason: String,
    },
}

/// Turns the bytes of one sample into pixels.
pub trait Decoder {
    /// Decodes `bytes` into `image`, whose buffer is reused. After an error the content of `image` is unspecified.
    ///
    /// # Errors
    /// See [`DecodeError`]; the decoder stays usable after any of them.
    fn decode(&mut self, bytes: &[u8], image: &mut RgbImage) -> Result<Outcome, DecodeError>;
}

/// Decodes JPEG with libjpeg-turbo, everything else with the `image` crate.
#[derive(Debug)]
pub struct CpuDecoder {
    jpeg: JpegDecoder,
    pixel_limit: u64,
}

impl CpuDecoder {
    /// A decoder that refuses images of more than `pixel_limit` pixels (see [`DEFAULT_PIXEL_LIMIT`]), told from the
    /// header before memory is taken.
    ///
    /// # Errors
    /// [`DecodeError::Library`] if libjpeg-turbo cannot allocate its state.
    pub fn new(pixel_limit: u64) -> Result<Self, DecodeError> {
        let jpeg = JpegDecoder::new(pixel_limit)?;
        Ok(Self { jpeg, pixel_limit })
    }
}

impl Decoder for CpuDecoder {
    fn decode(&mut self, bytes: &[u8], image: &mut RgbImage) -> Result<Outcome, DecodeError> {
        match detect::kind(bytes) {
            Kind::Jpeg => self.jpeg.decode(bytes, image),
            Kind::Raster(format) => raster::decode(bytes, format, self.pixel_limit, image),
            Kind::Unknown(detected) => Err(DecodeError::UnknownType {
                detected: detected.to_owned(),
            }),
        }
    }
}

impl RgbImage {
    /// An empty image without a buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// An image of the given pixels, `width * height * 3` bytes.
    ///
    /// # Panics
    /// If the length of `pixels` is not that.
    pub fn from_pixels(width: u32, height: u32, pixels: Vec<u8>) -> Self {
        assert_eq!(pixels.len(), num_bytes(width, height), "bytes of pixels");
        Self {
            width,
            height,
            data: pixels,
        }
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The pixels, row by row, `width * height * 3` bytes.
    pub fn pixels(&self) -> &[u8] {
        &self.data[..num_bytes(self.width, self.height)]
    }

    /// Takes a new size and gives its pixels to write; what they hold is unspecified.
    fn reshape(&mut self, width: u32, height: u32) -> &mut [u8] {
        let len = num_bytes(width, height);
        if self.data.len() < len {
            self.data.resize(len, 0);
        }
        (self.width, self.height) = (width, height);
        &mut self.data[..len]
    }
}

fn num_bytes(width: u32, height: u32) -> usize {
    width as usize * height as usize * 3
}

/// The size of an image as the library gives it, once it is known to be within the limit.
fn checked_size(width: u64, height: u64, limit: u64) -> Result<(u32, u32), DecodeError> {
    let too_large = DecodeError::TooLarge {
        width,
        height,
        limit,
    };
    if width.checked_mul(height).is_none_or(|area| area > limit) {
        return Err(too_large);
    }
    match (u32::try_from(width), u32::try_from(height)) {
        (Ok(width), Ok(height)) => Ok((width, height)),
        _ => Err(too_large),
    }
}

#[cfg(test)]
mod tests;
