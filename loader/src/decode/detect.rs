//! What a file is, from its first bytes.

use image::ImageFormat;

/// The decoder that a file needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Jpeg,
    /// A format of the `image` crate.
    Raster(ImageFormat),
    /// Not an image we decode; what it looks like, with its article.
    Unknown(&'static str),
}

/// First bytes of files that turn up under an image's name.
const STRANGERS: [(&[u8], &str); 9] = [
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"%PDF", "a PDF document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"8BPS", "a Photoshop document"),
    (b"\0\0\x01\0", "an icon"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL image"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
];

pub(super) fn kind(bytes: &[u8]) -> Kind {
    if bytes.starts_with(b"\xff\xd8\xff") {
        return Kind::Jpeg;
    }
    match image::guess_format(bytes) {
        Ok(
            format @ (ImageFormat::Png | ImageFormat::Bmp | ImageFormat::Gif | ImageFormat::WebP),
        ) => Kind::Raster(format),
        _ => Kind::Unknown(describe(bytes)),
    }
}

fn describe(bytes: &[u8]) -> &'static str {
    if bytes.is_empty() {
        return "an empty file";
    }
    if let Some((_, name)) = STRANGERS.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return name;
    }
    if bytes.get(4..8) == Some(b"ftyp") {
        return "an ISO media file (AVIF, HEIC or video)";
    }
    if bytes.iter().all(|&byte| byte == 0) {
        return "a run of zero bytes";
    }
    describe_text(bytes)
}

fn describe_text(bytes: &[u8]) -> &'static str {
    let start = &bytes[..bytes.len().min(512)];
    let printable = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    if !start.iter().all(printable) {
        return "a file of an unknown type";
    }
    let markup = start.trim_ascii_start().first() == Some(&b'<');
    if markup {
        "an HTML or XML text"
    } else {
        "a text"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_first_bytes() {
        assert_eq!(kind(b"\xff\xd8\xff\xe0"), Kind::Jpeg);
        assert_eq!(kind(b"\x89PNG\r\n\x1a\n"), Kind::Raster(ImageFormat::Png));
        assert_eq!(kind(b""), Kind::Unknown("an empty file"));
        assert_eq!(
            kind(b" <!DOCTYPE html>"),
            Kind::Unknown("an HTML or XML text")
        );
        assert_eq!(kind(b"404 not found\n"), Kind::Unknown("a text"));
        assert_eq!(kind(b"II*\0...."), Kind::Unknown("a TIFF image"));
        assert_eq!(
            kind(b"\xff\xd8"),
            Kind::Unknown("a file of an unknown type")
        );
        assert_eq!(kind(&[0; 600]), Kind::Unknown("a run of zero bytes"));
    }
}
