//! Changes images on their way into a shard, where that was asked for: smaller ones, or a JPEG of what was none. An image
//! that needs no change keeps its bytes.

use std::collections::BTreeMap;

use image::imageops::{FilterType, resize};
use image_decode::{DEFAULT_PIXEL_LIMIT, Decoder, RgbImage};
use shard_format::image_header::{Content, identify};
use shard_format::{ColourModel, ImageHeader, ImageKind, Manifest};

use super::jpeg;
use crate::report::counts::list;

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
            Content::Image(header) if self.shrinks(&header) => self.change(&bytes),
            Content::Image(header) if is_ordinary(&header) => Ok(bytes),
            // What cannot be decoded here may still be of use to others: it keeps its bytes, and is counted at the end.
            Content::Image(_) | Content::Other if self.to_jpeg => self.change(&bytes).or(Ok(bytes)),
            _ => Ok(bytes),
        }
    }

    fn shrinks(&self, header: &ImageHeader) -> bool {
        let size = (header.width, header.height);
        self.target(size) != size
    }

    fn change(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let mut image = RgbImage::new();
        Decoder::new(DEFAULT_PIXEL_LIMIT)
            .decode(bytes, &mut image)
            .map_err(|error| format!("cannot be changed: {error}"))?;
        let size = (image.width(), image.height());
        let (width, height) = self.target(size);
        let rgb = image.into_pixels();
        let rgb = if (width, height) == size {
            rgb
        } else {
            resized(size, rgb, (width, height))
        };
        jpeg::encode(&rgb, width, height, self.quality)
            .map_err(|reason| format!("cannot be encoded ({reason})"))
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

fn resized((width, height): (u32, u32), rgb: Vec<u8>, target: (u32, u32)) -> Vec<u8> {
    let image = image::RgbImage::from_raw(width, height, rgb).expect("pixels of that size");
    resize(&image, target.0, target.1, FilterType::CatmullRom).into_raw()
}

fn is_ordinary(header: &ImageHeader) -> bool {
    ORDINARY_KINDS.contains(&header.kind) && ORDINARY_COLOURS.contains(&header.colour)
}

/// Why a file of this kind is left out, and how it would not be: `option` makes a JPEG of what can be decoded, if that was not tried.
pub(crate) fn why_not_packed(detected: &str, option: Option<&str>) -> String {
    let help = match (detected, option) {
        ("bmp" | "gif" | "pnm" | "webp", None) => "; it cannot be decoded",
        ("bmp" | "gif" | "pnm" | "webp", Some(option)) => &format!("; {option} packs it as a JPEG"),
        ("tiff" | "psd" | "heif" | "avif" | "jpeg-xl" | "jpeg-2000", _) => {
            "; nothing here decodes it: convert it first"
        }
        _ => "",
    };
    format!("not a JPEG or PNG (detected: {detected}{help})")
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
    let is_any = !left.is_empty();
    let parts = list(left);
    is_any.then(|| {
        format!(
            "images that could not be decoded keep their bytes in spite of --transcode: {parts}"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::ImageFormat;
    use std::io::Cursor;

    fn pixels(width: u32, height: u32) -> image::RgbImage {
        image::RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, 90]))
    }

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let written = pixels(width, height).write_to(&mut bytes, ImageFormat::Png);
        written.expect("encodes");
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
        let jpeg = jpeg::encode(&pixels(40, 60), 40, 60, 90).expect("encodes");
        assert_eq!(wanted.apply(jpeg.clone()), Ok(jpeg));
        let png = png(400, 60);
        assert_eq!(Transcode::default().apply(png.clone()), Ok(png));
    }

    #[test]
    fn a_png_becomes_a_jpeg_of_the_same_size() {
        let wanted = Transcode {
            to_jpeg: true,
            quality: 95,
            ..Transcode::default()
        };
        let changed = wanted.apply(png(33, 21)).expect("changes");
        let header = header(&changed);
        assert_eq!(
            (header.kind, header.width, header.height),
            (ImageKind::JpegBaseline, 33, 21)
        );
        let mut image = RgbImage::new();
        let decoded = Decoder::new(DEFAULT_PIXEL_LIMIT).decode(&changed, &mut image);
        decoded.expect("decodes");
        assert!(image.pixels()[(5 * 33 + 30) * 3].abs_diff(30) < 12);
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
        let mut cut = png(40, 60);
        cut.truncate(60);
        assert!(
            wanted
                .apply(cut)
                .is_err_and(|reason| reason.starts_with("cannot be changed"))
        );
    }
}
