//! Writes JPEGs, with full colour resolution.

use turbojpeg::{Image, PixelFormat, Subsamp};

/// A JPEG of these pixels, `u8 [height, width, 3]`, of `quality` 1 to 100.
///
/// # Errors
/// What the library says, for one: a side is longer than 65,500 pixels.
pub(crate) fn encode(rgb: &[u8], width: u32, height: u32, quality: u8) -> Result<Vec<u8>, String> {
    let image = Image {
        pixels: rgb,
        width: width as usize,
        pitch: width as usize * 3,
        height: height as usize,
        format: PixelFormat::RGB,
    };
    let jpeg = turbojpeg::compress(image, quality.into(), Subsamp::None);
    jpeg.map(|jpeg| jpeg.to_vec())
        .map_err(|error| error.to_string())
}
