//! From what a card's decoder gives to pixels: planes of luma and chroma at the stored sampling become RGB.
//!
//! The kernel does what libjpeg-turbo does, to the bit, so that only the inverse DCT can differ between a card and the CPU. Nothing here talks to a
//! driver or a decoder.

mod parity;

use crate::augment::cuda;

pub use parity::{MOST_BY_DCT, Parity};

/// The kernel, for NVRTC, with the options of [`augment::cuda`](crate::augment::cuda::OPTIONS).
pub const SOURCE: &str = include_str!("planes.cu");

/// Its name: `rgb_of_planes(images, unused)`, [`num_blocks`] along x, an image for each block along y.
pub const KERNEL: &str = "rgb_of_planes";

/// Blocks along x for `num_images`, the largest of which has `num_pixels`.
pub fn num_blocks(num_pixels: usize, num_images: usize) -> u32 {
    cuda::num_blocks(num_pixels as u32, num_images)
}

/// What the kernel is told of an image: the mirror of `struct Planes` in `planes.cu`. Addresses are those of device memory.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Planes {
    /// The luma plane, `u8 [height, width]`.
    pub luma: u64,
    /// The plane of blue differences; 0 where the image is grey.
    pub blue: u64,
    /// The plane of red differences.
    pub red: u64,
    /// Where the pixels go: `u8 [height, width, 3]`.
    pub out: u64,
    /// Bytes from one row of the luma plane to the next.
    pub luma_stride: u32,
    /// Bytes from one row of a chroma plane to the next.
    pub chroma_stride: u32,
    /// Columns of the image.
    pub width: u32,
    /// Rows of the image.
    pub height: u32,
    /// Columns of pixels that share a chroma value.
    pub across: u32,
    /// Rows of pixels that share a chroma value.
    pub down: u32,
}

const _: () = assert!(size_of::<Planes>() == 56, "planes.cu has the same");

#[cfg(test)]
mod tests;
