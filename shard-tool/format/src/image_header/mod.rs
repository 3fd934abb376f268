//! Recognises a file by its content and reads the header of JPEG and PNG without decoding.
//!
//! Pure: bytes in, facts out; it never panics, whatever the bytes. It does not know whether the
//! coded image is whole.

mod jpeg;
mod png;

use crate::sample::ImageHeader;

/// What a file turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A JPEG or PNG with a readable header.
    Image(ImageHeader),
    /// It starts like a JPEG or PNG, but its header is of no use.
    Damaged {
        /// `jpeg` or `png`.
        detected: &'static str,
        /// What is wrong with the header.
        problem: &'static str,
    },
    /// Anything else.
    Other,
}

/// Recognises `bytes`, which start at the beginning of the file.
/// The header of a JPEG may come after megabytes of metadata: give the whole file.
pub fn identify(bytes: &[u8]) -> Content {
    let (detected, header) = if bytes.starts_with(jpeg::MAGIC) {
        ("jpeg", jpeg::header(bytes))
    } else if bytes.starts_with(png::MAGIC) {
        ("png", png::header(bytes))
    } else {
        return Content::Other;
    };
    match header {
        Ok(header) if header.width == 0 || header.height == 0 => Content::Damaged {
            detected,
            problem: "width or height is zero",
        },
        Ok(header) => Content::Image(header),
        Err(problem) => Content::Damaged { detected, problem },
    }
}

#[cfg(test)]
mod tests;
