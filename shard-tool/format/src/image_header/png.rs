//! The header of a PNG. Source: ISO 15948.

use crate::sample::{ColourModel, ImageHeader, ImageKind};

/// How a PNG starts.
pub(super) const MAGIC: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Size and colours by the first chunk, or what hinders.
pub(super) fn header(bytes: &[u8]) -> Result<ImageHeader, &'static str> {
    let chunk = bytes.get(8..26).ok_or("the file ends within the header")?;
    if chunk[..8] != *b"\0\0\0\x0dIHDR" {
        return Err("the first chunk is not IHDR");
    }
    let number =
        |at: usize| u32::from_be_bytes([chunk[at], chunk[at + 1], chunk[at + 2], chunk[at + 3]]);
    let colour = match chunk[17] {
        0 => ColourModel::Grey,
        2 => ColourModel::Rgb,
        3 => ColourModel::Palette,
        4 => ColourModel::GreyAlpha,
        6 => ColourModel::Rgba,
        _ => return Err("the colour type is none of PNG's"),
    };
    Ok(ImageHeader {
        kind: ImageKind::Png,
        colour,
        bits: chunk[16],
        width: number(8),
        height: number(12),
    })
}
