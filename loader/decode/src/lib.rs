//! From the bytes of an image file to 8-bit RGB pixels, on the CPU: libjpeg-turbo for JPEG, the `image` crate for PNG, BMP, GIF, PNM
//! and WebP.
//!
//! The kind of a file is told from its content, never from its name. Pixels are those that Pillow's `convert("RGB")` gives: grey is
//! repeated, alpha is dropped, CMYK is taken as Adobe writes it, orientation tags are left alone. Where Pillow reads a file and this crate
//! does not, the table in its README says why.
//!
//! Whatever is in a file costs that file and no more: the pixel limit is checked before memory is taken, a library that panics or finds
//! no memory is an error of the file, and the decoder stays usable. Nothing here knows about samples, shards or views. A decoder belongs to
//! one thread; every decoding thread has its own.
//!
//! ```
//! use image_decode::{DEFAULT_PIXEL_LIMIT, DecodeError, Decoder, RgbImage};
//!
//! let mut decoder = Decoder::new(DEFAULT_PIXEL_LIMIT);
//! let mut image = RgbImage::new();
//! let grey = b"P5 2 1 255\n\x07\xf0";
//! decoder.decode(grey, &mut image)?;
//! assert_eq!((image.width(), image.height()), (2, 1));
//! assert_eq!(image.pixels(), [7, 7, 7, 240, 240, 240]);
//! # Ok::<(), DecodeError>(())
//! ```

mod content;
mod decoder;
mod error;
mod jpeg;
mod libjpeg;
mod raster;
mod rgb_image;

pub use content::content_name;
pub use decoder::{DEFAULT_PIXEL_LIMIT, Decoder};
pub use error::DecodeError;
pub use rgb_image::{Outcome, RgbImage};
