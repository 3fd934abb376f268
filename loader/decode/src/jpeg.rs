//! JPEG as Pillow reads it: accurate DCT and smooth upsampling (libjpeg-turbo's defaults), one, three or four components of 8 bits.
//!
//! Data that end before the last row are refused; damage within them and a missing end marker are not.

use crate::error::DecodeError;
use crate::libjpeg::{Failure, Frame, LibJpeg};
use crate::rgb_image::{Outcome, RgbImage, checked_size, num_pixels, resized};

/// What errors call the type.
const NAME: &str = "jpeg";

/// A libjpeg-turbo decompressor and its scratch.
#[derive(Debug)]
pub(crate) struct JpegDecoder {
    library: LibJpeg,
    /// Grey values or inks of one image.
    scratch: Vec<u8>,
}

impl JpegDecoder {
    pub(crate) fn new() -> Self {
        Self {
            library: LibJpeg::new(),
            scratch: Vec::new(),
        }
    }

    pub(crate) fn decode(
        &mut self,
        bytes: &[u8],
        limit: u64,
        image: &mut RgbImage,
    ) -> Result<Outcome, DecodeError> {
        let begun = self.library.begin(bytes);
        let begun = begun.map_err(|failure| error(failure, bytes))?;
        let (width, height, num_components) = check(&begun.frame, limit)?;
        let rgb = image.reshape(width, height)?;
        let is_damaged = if num_components == 3 {
            begun.rows(3, rgb)
        } else {
            let num_bytes = num_pixels(width, height) * usize::from(num_components);
            let scratch = resized(&mut self.scratch, num_bytes)?;
            let is_damaged = begun.rows(num_components, scratch);
            match num_components {
                1 => rgb_of_grey(scratch, rgb),
                _ => rgb_of_adobe_cmyk(scratch, rgb),
            }
            is_damaged
        };
        match is_damaged.map_err(|failure| error(failure, bytes))? {
            true => Ok(Outcome::Recovered),
            false => Ok(Outcome::Clean),
        }
    }
}

/// Width, height and number of components of a frame that Pillow would take too.
fn check(frame: &Frame, limit: u64) -> Result<(u32, u32, u8), DecodeError> {
    let (width, height) = checked_size(frame.width.into(), frame.height.into(), limit)?;
    let unsupported = |reason: String| DecodeError::Corrupt { kind: NAME, reason };
    match (frame.bits, frame.num_components) {
        (8, num_components @ (1 | 3 | 4)) => Ok((width, height, num_components as u8)),
        (8, other) => Err(unsupported(format!("it has {other} components"))),
        (bits, _) => Err(unsupported(format!("its samples have {bits} bits"))),
    }
}

fn error(failure: Failure, bytes: &[u8]) -> DecodeError {
    match failure {
        Failure::Ended => DecodeError::Truncated {
            kind: NAME,
            len: bytes.len(),
        },
        Failure::Refused(reason) => DecodeError::Corrupt { kind: NAME, reason },
    }
}

fn rgb_of_grey(grey: &[u8], rgb: &mut [u8]) {
    for (value, out) in grey.iter().zip(rgb.chunks_exact_mut(3)) {
        out.fill(*value);
    }
}

/// Pillow's `CMYK;I` to RGB: Adobe stores the four inks inverted, and `rgb = white - ink` with `white` = 255 - black.
fn rgb_of_adobe_cmyk(cmyk: &[u8], rgb: &mut [u8]) {
    for (inks, out) in cmyk.chunks_exact(4).zip(rgb.chunks_exact_mut(3)) {
        let white = u32::from(inks[3]);
        for (value, &inverted) in out.iter_mut().zip(inks) {
            let product = u32::from(255 - inverted) * white + 128;
            *value = (white - (((product >> 8) + product) >> 8)) as u8;
        }
    }
}
