//! Changes images on their way into a shard, where that was asked for: smaller ones, or a JPEG of what was none. An image
//! that needs no change keeps its bytes.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::panic::catch_unwind;

use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, ImageReader, Limits};
use shard_format::image_header::{Content, identify};
use shard_format::{ColourModel, ImageHeader, ImageKind, Manifest};

use crate::decodable::{self, Decoded, in_one_line};
use crate::report::thousands;

/// What to change; nothing by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Transcode {
    /// Turn what is not an ordinary JPEG of grey, YCbCr or RGB into one.
    pub(crate) to_jpeg: bool,
    /// Shrink to this short side, in pixels.
    pub(crate) resize_short: Option<u32>,
    /// Shrink to this long side, in pixels.
    pub(crate) max_side: Option<u32>,
    /// JPEG quality of what is changed, 1 to 100.
    pub(crate) quality: u8,
}

/// The quality if none is asked for.
pub(crate) const DEFAULT_QUALITY: u8 = 92;

/// JPEGs of these kinds and colours need no transcoding.
const ORDINARY_KINDS: [ImageKind; 2] = [ImageKind::JpegBaseline, ImageKind::JpegProgressive];
const ORDINARY_COLOURS: [ColourModel; 3] =
    [ColourModel::Grey, ColourModel::YCbCr, ColourModel::Rgb];

/// A larger picture is refused before memory is reserved for it.
const MAX_PIXELS: u64 = 1 << 28;

impl Transcode {
    /// Whether anything is to be changed.
    pub(crate) fn is_wanted(&self) -> bool {
        self.to_jpeg || self.resize_short.is_some() || self.max_side.is_some()
    }

    /// The bytes to be packed.
    ///
    /// # Errors
    /// Why the image cannot be changed.
    pub(crate) fn apply(&self, bytes: Vec<u8>) -> Result<Vec<u8>, String> {
        if !self.is_wanted() {
            return Ok(bytes);
        }
        match identify(&bytes) {
            Content::Image(header) if self.shrinks(&header) => self.change_whole(&bytes, &header),
            Content::Image(header) if is_ordinary(&header) => Ok(bytes),
            // What cannot be decoded here may still be of use to others: it keeps its bytes, and is counted at the end.
            Content::Image(header) if self.to_jpeg => {
                self.change_whole(&bytes, &header).or(Ok(bytes))
            }
            Content::Other(_) if self.to_jpeg => self.change(&bytes).or(Ok(bytes)),
            _ => Ok(bytes),
        }
    }

    fn shrinks(&self, header: &ImageHeader) -> bool {
        let size = (header.width, header.height);
        self.target(size) != size
    }

    /// Decoders fill up with grey what an image lacks, after which nobody would see that it was cut.
    fn change_whole(&self, bytes: &[u8], header: &ImageHeader) -> Result<Vec<u8>, String> {
        match decodable::decode(bytes, header, MAX_PIXELS) {
            Decoded::Bad(reason) => Err(undecodable(&reason)),
            Decoded::Clean | Decoded::Recovered => self.change(bytes),
        }
    }

    fn change(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let image = decode(bytes).map_err(|reason| undecodable(&in_one_line(&reason)))?;
        let size = (image.width(), image.height());
        let (width, height) = self.target(size);
        let image = if (width, height) == size {
            image
        } else {
            image.resize_exact(width, height, FilterType::CatmullRom)
        };
        let rgb = image.into_rgb8();
        let mut jpeg = Vec::new();
        let encoded = JpegEncoder::new_with_quality(&mut jpeg, self.quality).encode_image(&rgb);
        encoded.map_err(|error| format!("cannot be encoded ({error})"))?;
        Ok(jpeg)
    }

    /// Width and height to shrink to; never larger, never zero.
    fn target(&self, (width, height): (u32, u32)) -> (u32, u32) {
        let of_short = self
            .resize_short
            .map(|px| f64::from(px) / f64::from(width.min(height)));
        let of_long = self
            .max_side
            .map(|px| f64::from(px) / f64::from(width.max(height)));
        let scale = of_short.unwrap_or(1.0).min(of_long.unwrap_or(1.0));
        if scale >= 1.0 {
            return (width, height);
        }
        let scaled = |side: u32| ((f64::from(side) * scale).round() as u32).max(1);
        (scaled(width), scaled(height))
    }
}

fn undecodable(reason: &str) -> String {
    format!("cannot be changed, since it cannot be decoded ({reason})")
}

fn is_ordinary(header: &ImageHeader) -> bool {
    ORDINARY_KINDS.contains(&header.kind) && ORDINARY_COLOURS.contains(&header.colour)
}

/// What --transcode has left as it was in this set, if there is something: what could not be decoded.
pub(crate) fn left_as_they_were(manifest: &Manifest) -> Option<String> {
    let mut left: BTreeMap<&str, u64> = BTreeMap::new();
    for split in manifest.splits.values() {
        for (name, count) in split.kinds.iter().chain(&split.colours) {
            *left.entry(name).or_default() += count;
        }
    }
    let is_ordinary = |name: &str| {
        let is_kind = ORDINARY_KINDS.iter().any(|kind| kind.name() == name);
        is_kind || ORDINARY_COLOURS.iter().any(|colour| colour.name() == name)
    };
    left.retain(|name, _| !is_ordinary(name));
    let parts: Vec<String> = left
        .iter()
        .map(|(name, count)| format!("{} {name}", thousands(*count)))
        .collect();
    let parts = parts.join(", ");
    (!left.is_empty()).then(|| {
        format!(
            "images that could not be decoded keep their bytes in spite of --transcode: {parts}"
        )
    })
}

/// Decodes any format that is known, within limits. A decoder that panics has only not decoded.
pub(crate) fn decode(bytes: &[u8]) -> Result<DynamicImage, String> {
    catch_unwind(|| decode_within_limits(bytes))
        .unwrap_or_else(|_| Err("the decoder gave up".to_owned()))
}

fn decode_within_limits(bytes: &[u8]) -> Result<DynamicImage, String> {
    let reader = || -> image::ImageResult<_> {
        Ok(ImageReader::new(Cursor::new(bytes)).with_guessed_format()?)
    };
    let describe = |error: image::ImageError| error.to_string();
    let (width, height) = reader()
        .and_then(|reader| reader.into_dimensions())
        .map_err(describe)?;
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(format!("{width} x {height} pixels are too many"));
    }
    let mut reader = reader().map_err(describe)?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(8 * MAX_PIXELS);
    reader.limits(limits);
    reader.decode().map_err(describe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageFormat, RgbImage};

    fn encoded(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let image = RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 90]));
        image.write_to(&mut bytes, format).expect("encodes");
        bytes.into_inner()
    }

    fn header(bytes: &[u8]) -> ImageHeader {
        match identify(bytes) {
            Content::Image(header) => header,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_image_that_needs_no_change_keeps_its_bytes() {
        let wanted = Transcode {
            to_jpeg: true,
            resize_short: Some(40),
            quality: 90,
            ..Transcode::default()
        };
        let jpeg = encoded(40, 60, ImageFormat::Jpeg);
        assert_eq!(wanted.apply(jpeg.clone()), Ok(jpeg));
        let png = encoded(400, 60, ImageFormat::Png);
        assert_eq!(Transcode::default().apply(png.clone()), Ok(png));
    }

    #[test]
    fn a_png_becomes_a_jpeg_of_the_same_size() {
        let wanted = Transcode {
            to_jpeg: true,
            quality: 95,
            ..Transcode::default()
        };
        let changed = wanted
            .apply(encoded(33, 21, ImageFormat::Png))
            .expect("changes");
        let header = header(&changed);
        assert_eq!(
            (header.kind, header.width, header.height),
            (ImageKind::JpegBaseline, 33, 21)
        );
        let pixels = decode(&changed).expect("decodes").into_rgb8();
        assert!((i32::from(pixels.get_pixel(30, 5)[0]) - 30).abs() < 12);
    }

    #[test]
    fn sides_shrink_to_what_was_asked_and_never_grow() {
        let target = |short: Option<u32>, long: Option<u32>, size| {
            Transcode {
                resize_short: short,
                max_side: long,
                ..Transcode::default()
            }
            .target(size)
        };
        assert_eq!(target(Some(256), None, (500, 375)), (341, 256));
        assert_eq!(target(None, Some(100), (500, 375)), (100, 75));
        assert_eq!(target(Some(256), Some(100), (500, 375)), (100, 75));
        assert_eq!(target(Some(256), None, (200, 100)), (200, 100));
        assert_eq!(target(None, Some(10), (10_000, 3)), (10, 1));
    }

    #[test]
    fn what_cannot_be_decoded_is_a_reason() {
        let wanted = Transcode {
            resize_short: Some(8),
            quality: 90,
            ..Transcode::default()
        };
        let mut cut = encoded(40, 60, ImageFormat::Png);
        cut.truncate(60);
        assert!(
            wanted
                .apply(cut)
                .is_err_and(|reason| reason.starts_with("cannot be changed"))
        );
    }
}
