//! The image that a decoder fills, and the sizes it may have.

use crate::error::DecodeError;

/// How well an image decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The file was sound.
    Clean,
    /// The file was damaged (bytes between markers, a bad code, no end marker), yet every row has pixels.
    Recovered,
}

/// An 8-bit RGB image: `height` rows of `width` pixels of 3 bytes, no padding.
///
/// The buffer is kept from image to image, so that a decoding thread stops allocating once it has seen its largest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RgbImage {
    width: u32,
    height: u32,
    data: Vec<u8>,
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
        let num_bytes = num_pixels(width, height) * 3;
        assert_eq!(pixels.len(), num_bytes, "bytes of pixels");
        Self {
            width,
            height,
            data: pixels,
        }
    }

    /// Width in pixels.
    #[inline]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    #[inline]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The pixels, row by row, `width * height * 3` bytes.
    #[inline]
    pub fn pixels(&self) -> &[u8] {
        &self.data[..num_pixels(self.width, self.height) * 3]
    }

    /// The pixels, row by row; the image is gone.
    pub fn into_pixels(mut self) -> Vec<u8> {
        self.data.truncate(num_pixels(self.width, self.height) * 3);
        self.data
    }

    /// Takes a new size and gives its pixels to write; what they hold is unspecified.
    pub(crate) fn reshape(&mut self, width: u32, height: u32) -> Result<&mut [u8], DecodeError> {
        // Should there be no memory, the image is empty, not one of pixels that it does not have.
        (self.width, self.height) = (0, 0);
        let pixels = resized(&mut self.data, num_pixels(width, height) * 3)?;
        (self.width, self.height) = (width, height);
        Ok(pixels)
    }
}

pub(crate) fn num_pixels(width: u32, height: u32) -> usize {
    width as usize * height as usize
}

/// The first `len` bytes of a buffer that grows but never shrinks.
pub(crate) fn resized(buffer: &mut Vec<u8>, len: usize) -> Result<&mut [u8], DecodeError> {
    if let Some(missing) = len.checked_sub(buffer.len()) {
        let reserved = buffer.try_reserve_exact(missing);
        reserved.map_err(|_| DecodeError::NoMemory { num_bytes: len })?;
        buffer.resize(len, 0);
    }
    Ok(&mut buffer[..len])
}

/// The size of an image as its file states it, once it is known to be within the limit.
pub(crate) fn checked_size(width: u64, height: u64, limit: u64) -> Result<(u32, u32), DecodeError> {
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
