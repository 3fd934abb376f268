//! What is unusual about an image without being wrong.

use shard_format::{ColourModel, ImageHeader, ImageKind};

/// A side below this many pixels is odd.
const SMALL_PX: u32 = 32;
/// A side this many times the other is odd.
const LONG_RATIO: u64 = 8;
/// More pixels are odd.
const LARGE_PX: u64 = 50_000_000;
/// The end marker is looked for in so many bytes at the end.
const TAIL_BYTES: usize = 4_096;

/// Of an image that the decoder finds damaged, and decodes.
pub(super) const RECOVERED: &str = "damage that decoders get over";

/// Names of what is odd about this image.
pub(super) fn of(header: &ImageHeader, image: &[u8]) -> impl Iterator<Item = &'static str> + use<> {
    let (short, long) = (
        header.width.min(header.height),
        header.width.max(header.height),
    );
    let four_inks = matches!(header.colour, ColourModel::Cmyk | ColourModel::Ycck);
    let alpha = matches!(header.colour, ColourModel::GreyAlpha | ColourModel::Rgba);
    let tests = [
        (header.kind == ImageKind::JpegProgressive, "progressive"),
        (is_arithmetic(header.kind), "arithmetic coding"),
        (is_rare(header.kind), "lossless or hierarchical"),
        (four_inks, "four inks"),
        (alpha, "alpha"),
        (header.colour == ColourModel::Palette, "palette"),
        (header.bits != 8, "not 8 bits per channel"),
        (short < SMALL_PX, "side under 32 pixels"),
        (
            u64::from(long) > LONG_RATIO * u64::from(short),
            "longer than 8:1",
        ),
        (
            u64::from(short) * u64::from(long) > LARGE_PX,
            "over 50 megapixels",
        ),
    ];
    let named = tests
        .into_iter()
        .filter_map(|(holds, name)| holds.then_some(name));
    named.chain(end_oddity(header.kind, image))
}

fn is_arithmetic(kind: ImageKind) -> bool {
    matches!(
        kind,
        ImageKind::JpegArithmetic | ImageKind::JpegArithmeticProgressive
    )
}

fn is_rare(kind: ImageKind) -> bool {
    matches!(kind, ImageKind::JpegLossless | ImageKind::JpegHierarchical)
}

fn end_oddity(kind: ImageKind, image: &[u8]) -> Option<&'static str> {
    const END: &[u8] = b"\xff\xd9";
    if !kind.is_jpeg() || image.ends_with(END) {
        return None;
    }
    let tail = &image[image.len().saturating_sub(TAIL_BYTES)..];
    if tail.windows(2).any(|pair| pair == END) {
        Some("bytes after the end marker")
    } else {
        Some("no end marker (cut short?)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_jpeg_and_a_tiny_one_with_four_inks_are_odd() {
        let header = ImageHeader {
            kind: ImageKind::JpegBaseline,
            colour: ColourModel::Ycck,
            bits: 8,
            width: 300,
            height: 20,
        };
        let names: Vec<_> = of(&header, b"\xff\xd8\xff\xd9\0").collect();
        assert_eq!(
            names,
            [
                "four inks",
                "side under 32 pixels",
                "longer than 8:1",
                "bytes after the end marker"
            ]
        );
        assert_eq!(
            of(&header, b"\xff\xd8").last(),
            Some("no end marker (cut short?)")
        );
    }
}
