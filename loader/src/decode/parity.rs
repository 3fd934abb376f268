//! How far a card's pixels are from the CPU's. Since planes become pixels alike on both ([`SOURCE`](super::SOURCE)), only the inverse DCT can differ:
//! a value of a plane by one level, hence a pixel by [`MOST_BY_DCT`].

use std::iter::Sum;

/// Levels by which a pixel may differ where no value of a plane is off by more than one: luma counts once, blue differences up to 1.772 times.
pub const MOST_BY_DCT: u8 = 3;

/// Pixels of an image, or of several, by how far their worst channel is off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Parity {
    /// All pixels.
    pub num_pixels: u64,
    /// Those that are off by one level.
    pub by_one: u64,
    /// Those that are off by more.
    pub by_more: u64,
    /// The worst of them, in levels.
    pub most: u8,
}

impl Parity {
    /// Compares two images of the same size, both `u8 [height, width, 3]`.
    ///
    /// # Panics
    /// If they are not of one size.
    pub fn of(made: &[u8], expected: &[u8]) -> Self {
        assert_eq!(made.len(), expected.len(), "bytes of both images");
        let pixels = made.chunks_exact(3).zip(expected.chunks_exact(3));
        let worst = |(made, expected): (&[u8], &[u8])| {
            let levels = made.iter().zip(expected).map(|(a, b)| a.abs_diff(*b));
            levels.max().unwrap_or(0)
        };
        pixels.map(worst).map(Self::of_pixel).sum()
    }

    fn of_pixel(levels: u8) -> Self {
        Self {
            num_pixels: 1,
            by_one: u64::from(levels == 1),
            by_more: u64::from(levels > 1),
            most: levels,
        }
    }

    /// Whether the inverse DCT alone can be the cause.
    pub fn is_by_dct(&self) -> bool {
        self.most <= MOST_BY_DCT
    }
}

impl Sum for Parity {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |all, part| Self {
            num_pixels: all.num_pixels + part.num_pixels,
            by_one: all.by_one + part.by_one,
            by_more: all.by_more + part.by_more,
            most: all.most.max(part.most),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pixel_counts_once_by_its_worst_channel() {
        let expected = [10, 20, 30, 40, 50, 60, 70, 80, 90, 0, 0, 255];
        let made = [10, 20, 30, 41, 49, 60, 71, 80, 87, 0, 0, 0];
        let parity = Parity::of(&made, &expected);
        let counted = Parity {
            num_pixels: 4,
            by_one: 1,
            by_more: 2,
            most: 255,
        };
        assert_eq!(parity, counted);
        assert!(!parity.is_by_dct());
    }

    #[test]
    fn images_add_up_and_a_level_is_the_inverse_dcts() {
        let image = [1, 2, 3, 4, 5, 6];
        let off = [1, 3, 3, 4, 5, 6];
        let parts = [Parity::of(&image, &image), Parity::of(&off, &image)];
        let all: Parity = parts.into_iter().sum();
        assert_eq!((all.num_pixels, all.by_one, all.most), (4, 1, 1));
        assert!(all.is_by_dct());
    }
}
