//! What a file is called that is neither JPEG nor PNG.

/// First bytes by which other types are known; with what reports call them.
const MAGICS: &[(&[u8], &str)] = &[
    (b"GIF8", "gif"),
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

/// The name of the type; `unknown` if it is none that is known.
pub(super) fn name(bytes: &[u8]) -> &'static str {
    if bytes.is_empty() {
        return "empty";
    }
    if let Some((_, name)) = MAGICS.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return name;
    }
    if bytes.starts_with(b"BM") && bytes.get(6..10) == Some(&[0; 4]) {
        return "bmp";
    }
    match (bytes.get(..4), bytes.get(4..8), bytes.get(8..12)) {
        (Some(b"RIFF"), _, Some(b"WEBP")) => "webp",
        (_, Some(b"ftyp"), Some(brand)) => iso_media_type(brand),
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
