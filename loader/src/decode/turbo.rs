//! JPEG through libjpeg-turbo: accurate DCT and smooth upsampling, which are also Pillow's defaults.
//!
//! The library reports damage that it got over as an "error" with the text of its first warning, so this file tells the two apart
//! by that text, and a file whose data end early from one that only lacks its end marker.

use turbojpeg::{Colorspace, DecompressHeader, Decompressor, Image, PixelFormat};

use super::{DecodeError, Outcome, RgbImage, checked_size, repair};

/// What libjpeg-turbo's warnings begin with (the `JWRN_` messages of its `jerror.h`); any other text is an error.
const WARNINGS: [&str; 7] = [
    PREMATURE_END,
    "Corrupt JPEG data: ",
    "Inconsistent progression sequence ",
    "Invalid SOS parameters for sequential JPEG",
    "Unknown Adobe color transform code ",
    "Warning: unknown JFIF revision number ",
    "Application transferred too many scanlines",
];
const PREMATURE_END: &str = "Premature end of JPEG file";
/// What the library says when the data end within the header.
const ENDED_IN_HEADER: &str = "missing SOS marker";
const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];
const START_OF_SCAN: [u8; 2] = [0xff, 0xda];
/// Most scans of a progressive image; a small file can otherwise ask for hours of work.
const SCAN_LIMIT: u32 = 500;

/// A libjpeg-turbo decompressor and its scratch.
#[derive(Debug)]
pub(super) struct JpegDecoder {
    decompressor: Decompressor,
    pixel_limit: u64,
    cmyk: Vec<u8>,
}

impl JpegDecoder {
    pub(super) fn new(pixel_limit: u64) -> Result<Self, DecodeError> {
        Ok(Self {
            decompressor: start_library().map_err(|error| DecodeError::Library {
                reason: message(error),
            })?,
            pixel_limit,
            cmyk: Vec::new(),
        })
    }

    pub(super) fn decode(
        &mut self,
        bytes: &[u8],
        image: &mut RgbImage,
    ) -> Result<Outcome, DecodeError> {
        match self.decompressor.read_header(bytes) {
            Ok(header) => self.decode_body(bytes, &header, image),
            Err(error) => self.decode_repaired(bytes, message(error), image),
        }
    }

    /// The header holds something unexpected; without it the rest may still decode.
    fn decode_repaired(
        &mut self,
        bytes: &[u8],
        complaint: String,
        image: &mut RgbImage,
    ) -> Result<Outcome, DecodeError> {
        let Some(repaired) = is_warning(&complaint)
            .then(|| repair::without_junk(bytes))
            .flatten()
        else {
            return Err(failure(complaint, bytes));
        };
        let header = self
            .decompressor
            .read_header(&repaired)
            .map_err(|error| failure(message(error), bytes))?;
        self.decode_body(&repaired, &header, image)?;
        Ok(Outcome::Recovered)
    }

    fn decode_body(
        &mut self,
        bytes: &[u8],
        header: &DecompressHeader,
        image: &mut RgbImage,
    ) -> Result<Outcome, DecodeError> {
        let (width, height) = (header.width as u64, header.height as u64);
        let (width, height) = checked_size(width, height, self.pixel_limit)?;
        let pixels = image.reshape(width, height);
        match self.decompress(bytes, header, pixels) {
            None => Ok(Outcome::Clean),
            Some(warning) if is_warning(&warning) => {
                self.judge_warning(bytes, header, warning, pixels)
            }
            Some(error) => Err(failure(error, bytes)),
        }
    }

    /// Data that end early are refused, as Pillow does; a missing end marker and damage in the middle are not.
    fn judge_warning(
        &mut self,
        bytes: &[u8],
        header: &DecompressHeader,
        warning: String,
        pixels: &mut [u8],
    ) -> Result<Outcome, DecodeError> {
        let ran_out = warning == PREMATURE_END;
        if ends_its_last_scan(bytes) && !ran_out {
            return Ok(Outcome::Recovered);
        }
        if ran_out && !header.is_progressive {
            let ended = [bytes, &END_OF_IMAGE].concat();
            if self.decompress(&ended, header, pixels).is_none() {
                return Ok(Outcome::Recovered);
            }
        }
        Err(failure(PREMATURE_END.to_owned(), bytes))
    }

    /// Writes the pixels; gives what the library complains about, if anything.
    fn decompress(
        &mut self,
        bytes: &[u8],
        header: &DecompressHeader,
        pixels: &mut [u8],
    ) -> Option<String> {
        if !matches!(header.colorspace, Colorspace::CMYK | Colorspace::YCCK) {
            return self.run(bytes, header, PixelFormat::RGB, pixels);
        }
        let mut cmyk = std::mem::take(&mut self.cmyk);
        cmyk.resize(header.width * header.height * 4, 0);
        let complaint = self.run(bytes, header, PixelFormat::CMYK, &mut cmyk);
        rgb_of_adobe_cmyk(&cmyk, pixels);
        self.cmyk = cmyk;
        complaint
    }

    fn run(
        &mut self,
        bytes: &[u8],
        header: &DecompressHeader,
        format: PixelFormat,
        pixels: &mut [u8],
    ) -> Option<String> {
        let target = Image {
            pixels,
            width: header.width,
            pitch: header.width * format.size(),
            height: header.height,
            format,
        };
        self.decompressor
            .decompress(bytes, target)
            .err()
            .map(message)
    }
}

fn start_library() -> turbojpeg::Result<Decompressor> {
    let mut decompressor = Decompressor::new()?;
    decompressor.set_scan_limit(SCAN_LIMIT)?;
    Ok(decompressor)
}

fn message(error: turbojpeg::Error) -> String {
    match error {
        turbojpeg::Error::TurboJpegError(message) => message,
        other => other.to_string(),
    }
}

fn is_warning(message: &str) -> bool {
    WARNINGS.iter().any(|start| message.starts_with(start))
}

fn failure(reason: String, bytes: &[u8]) -> DecodeError {
    let kind = "JPEG";
    if reason.starts_with("Premature end of ") || reason.ends_with(ENDED_IN_HEADER) {
        let len = bytes.len();
        return DecodeError::Truncated { kind, len };
    }
    DecodeError::Corrupt { kind, reason }
}

/// Whether an end marker follows the last start of a scan. Inside a scan, `ff` is always followed by `00` or a restart marker.
fn ends_its_last_scan(bytes: &[u8]) -> bool {
    let last = |marker: [u8; 2]| bytes.windows(2).rposition(|pair| pair == marker);
    last(END_OF_IMAGE) > last(START_OF_SCAN)
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
