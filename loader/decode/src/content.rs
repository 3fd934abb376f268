//! What a file is, from its first bytes.

use image::ImageFormat;

/// The decoder that a file needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Jpeg,
    /// A format of the `image` crate.
    Raster(ImageFormat),
    /// Nothing that we decode.
    Other,
}

const JPEG_MAGIC: &[u8] = b"\xff\xd8\xff";

/// First bytes of files that turn up among images; with what reports call them.
const MAGICS: &[(&[u8], &str)] = &[
    (b"\0\0\x01\0", "icon"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"\0\0\0\x0cJXL ", "jpeg-xl"),
    (b"\xff\x0a", "jpeg-xl"),
    (b"\0\0\0\x0cjP  ", "jpeg-2000"),
    (b"8BPS", "psd"),
    (b"%PDF", "pdf"),
    (b"PK\x03\x04", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"\x7fELF", "elf"),
];

/// The decoder for these bytes.
pub(crate) fn kind(bytes: &[u8]) -> Kind {
    if bytes.starts_with(JPEG_MAGIC) {
        return Kind::Jpeg;
    }
    match image::guess_format(bytes) {
        // `P` and a digit may begin a text.
        Ok(ImageFormat::Pnm) if !bytes.get(2).is_some_and(u8::is_ascii_whitespace) => Kind::Other,
        Ok(
            format @ (ImageFormat::Png
            | ImageFormat::Bmp
            | ImageFormat::Gif
            | ImageFormat::Pnm
            | ImageFormat::WebP),
        ) => Kind::Raster(format),
        _ => Kind::Other,
    }
}

/// What a file is called in reports, by its first bytes: `jpeg`, `png`, `gif`, `tiff`, `empty`, `text`, ... or `unknown`.
pub fn content_name(bytes: &[u8]) -> &'static str {
    match kind(bytes) {
        Kind::Jpeg => "jpeg",
        Kind::Raster(format) => raster_name(format),
        Kind::Other => other_name(bytes),
    }
}

/// What reports call a format that the `image` crate decodes.
pub(crate) fn raster_name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Png => "png",
        ImageFormat::Bmp => "bmp",
        ImageFormat::Gif => "gif",
        ImageFormat::Pnm => "pnm",
        _ => "webp",
    }
}

fn other_name(bytes: &[u8]) -> &'static str {
    if bytes.is_empty() {
        return "empty";
    }
    if let Some((_, name)) = MAGICS.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return name;
    }
    match (bytes.get(4..8), bytes.get(8..12)) {
        (Some(b"ftyp"), Some(brand)) => iso_media_type(brand),
        _ if bytes.get(257..262) == Some(b"ustar") => "tar",
        _ if bytes.iter().take(512).all(|byte| *byte == 0) => "zeros",
        _ => text_type(bytes),
    }
}

fn iso_media_type(brand: &[u8]) -> &'static str {
    match brand {
        b"avif" | b"avis" => "avif",
        b"heic" | b"heix" | b"hevc" | b"heim" | b"heis" | b"mif1" | b"msf1" => "heif",
        _ => "video",
    }
}

fn text_type(bytes: &[u8]) -> &'static str {
    let head = &bytes[..bytes.len().min(512)];
    let is_text_byte = |byte: &u8| !matches!(byte, 0..=8 | 0x0e..=0x1a | 0x1c..=0x1f | 0x7f);
    let valid = match std::str::from_utf8(head) {
        Ok(_) => true,
        // The last character may be cut by taking only the head.
        Err(error) => error.error_len().is_none() && head.len() < bytes.len(),
    };
    if !valid || !head.iter().all(is_text_byte) {
        return "unknown";
    }
    let start: Vec<u8> = head
        .iter()
        .copied()
        .skip_while(u8::is_ascii_whitespace)
        .take(14)
        .collect();
    let lower = start.to_ascii_lowercase();
    let starts = |prefix: &[u8]| lower.starts_with(prefix);
    if starts(b"<!doctype html") || starts(b"<html") {
        "html"
    } else if starts(b"<svg") || starts(b"<?xml") {
        "xml"
    } else {
        "text"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn files_are_known_by_their_first_bytes() {
        for (bytes, name) in [
            (b"".as_slice(), "empty"),
            (b"\xff\xd8\xff\xe0", "jpeg"),
            (b"\xff\xd8", "unknown"),
            (b"\x89PNG\r\n\x1a\n", "png"),
            (b"GIF89a..", "gif"),
            (b"RIFF\0\0\0\0WEBPVP8 ", "webp"),
            (b"BM\x36\0\0\0\0\0\0\0", "bmp"),
            (b"P6\n4 4\n255\n", "pnm"),
            (b"P60 is a volcano\n", "text"),
            (b"II*\0....", "tiff"),
            (b"\x1f\x8b\x08\0", "gzip"),
            (b"\0\0\0\x18ftypheic\0", "heif"),
            (b"hello\n", "text"),
            ("gr\u{fc}n".as_bytes(), "text"),
            (b"\n<!DOCTYPE html><p>404", "html"),
            (b"<?xml version='1.0'?><svg/>", "xml"),
            (&[0; 600], "zeros"),
            (b"\x01\x02\xfe\xff", "unknown"),
        ] {
            assert_eq!(content_name(bytes), name, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            content_name(&bytes);
        }
    }
}
