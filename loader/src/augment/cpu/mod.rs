//! Views on the CPU, equal to the bit to Pillow and torchvision's functions on Pillow images.
//!
//! Every step is arithmetic on many bytes at once, compiled for several instruction sets and chosen at run time; all of them give the same
//! bytes. Scratch is kept, so nothing is allocated once an augmenter has seen its largest image and view.

mod blur;
mod color;
mod hue;
mod pixels;
mod resize;
mod transpose;

use super::params::ViewParams;
use blur::Blurrer;
use image_decode::RgbImage;
use resize::Resizer;

/// Applies [`ViewParams`]; one per thread.
#[derive(Debug, Default)]
pub struct CpuAugmenter {
    resizer: Resizer,
    blurrer: Blurrer,
}

impl CpuAugmenter {
    /// An augmenter without scratch yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a view of `size` x `size` pixels, `size * size * 3` bytes in NHWC order.
    ///
    /// # Panics
    /// If `out` has another length, or if `params` were not drawn for an image of this size and a view of `size` pixels.
    pub fn apply(&mut self, image: &RgbImage, params: &ViewParams, size: u32, out: &mut [u8]) {
        let bytes = size as usize * size as usize * 3;
        assert_eq!(out.len(), bytes, "the view needs {bytes} bytes");
        params.check(image.width(), image.height(), size);
        self.resizer.resize(image, params, size, out);
        color::apply(out, params);
        if let Some(radius) = params.blur {
            self.blurrer.blur(out, size as usize, radius);
        }
        if params.solarize {
            color::solarize(out);
        }
    }
}

#[cfg(test)]
mod tests;
