//! One decoder for every kind of file.

use crate::content::{Kind, content_name, kind};
use crate::error::DecodeError;
use crate::jpeg::JpegDecoder;
use crate::raster;
use crate::rgb_image::{Outcome, RgbImage};

/// Most pixels an image may have unless told otherwise: the size at which Pillow refuses to go on (2 * 2^30 / 4 / 3).
pub const DEFAULT_PIXEL_LIMIT: u64 = 178_956_970;

/// Turns the bytes of one file after the other into pixels.
#[derive(Debug)]
pub struct Decoder {
    jpeg: JpegDecoder,
    pixel_limit: u64,
}

impl Decoder {
    /// A decoder that refuses images of more than `pixel_limit` pixels (see [`DEFAULT_PIXEL_LIMIT`]), told from the header before memory is
    /// taken.
    ///
    /// # Panics
    /// If there is no memory for the library's state (some kilobytes).
    pub fn new(pixel_limit: u64) -> Self {
        Self {
            jpeg: JpegDecoder::new(),
            pixel_limit,
        }
    }

    /// Decodes `bytes` into `image`, whose buffer is reused. After an error the content of `image` is unspecified.
    ///
    /// # Errors
    /// See [`DecodeError`]; the decoder stays usable after any of them.
    pub fn decode(&mut self, bytes: &[u8], image: &mut RgbImage) -> Result<Outcome, DecodeError> {
        match kind(bytes) {
            Kind::Jpeg => self.jpeg.decode(bytes, self.pixel_limit, image),
            Kind::Raster(format) => raster::decode(bytes, format, self.pixel_limit, image),
            Kind::Other => Err(unknown(bytes)),
        }
    }
}

fn unknown(bytes: &[u8]) -> DecodeError {
    DecodeError::UnknownType {
        detected: content_name(bytes),
    }
}

#[cfg(test)]
mod tests;
