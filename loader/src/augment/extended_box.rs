//! The box that a Gaussian blur is made of, as Pillow rounds it; blurring is the business of those who apply views.
//!
//! Source: Gwosdek et al., "Theoretical foundations of Gaussian convolution by extended box filtering", SSVM 2011, and Pillow's `BoxBlur.c`.

/// How often the box is applied along each axis.
pub(super) const NUM_PASSES: usize = 3;
const FRACTION_BITS: u32 = 24;
const HALF: u32 = 1 << (FRACTION_BITS - 1);

/// A box of `2 * radius + 1` pixels and a fraction of the next one on either side; weights in 24-bit fixed point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ExtendedBox {
    pub(super) radius: usize,
    pub(super) inner: u32,
    pub(super) edge: u32,
}

impl ExtendedBox {
    /// That of a Gaussian of standard deviation `radius`: formulas 7, 11 and 14 of the paper, in Pillow's single precision.
    pub(super) fn of_gaussian(radius: f32) -> Self {
        let variance = radius * radius / NUM_PASSES as f32;
        let length = (12.0 * f64::from(variance) + 1.0).sqrt() as f32;
        let whole = ((f64::from(length) - 1.0) / 2.0).floor() as f32;
        let part = (2.0 * whole + 1.0) * (whole * (whole + 1.0) - 3.0 * variance)
            / (6.0 * (variance - (whole + 1.0) * (whole + 1.0)));
        Self::of_radius(whole + part)
    }

    fn of_radius(radius: f32) -> Self {
        let whole = radius as u32;
        let inner = ((1 << FRACTION_BITS) as f32 / (radius * 2.0 + 1.0)) as u32;
        Self {
            radius: whole as usize,
            inner,
            edge: (1u32 << FRACTION_BITS).wrapping_sub((2 * whole + 1).wrapping_mul(inner)) / 2,
        }
    }

    /// Whether it leaves every pixel as it is.
    pub(super) fn is_one_pixel(self) -> bool {
        self.edge == 0 && self.radius == 0
    }

    /// Pillow's weighted sum, rounded.
    #[inline(always)]
    pub(super) fn weigh(self, inside: u32, outside: u32) -> u8 {
        let sum = inside
            .wrapping_mul(self.inner)
            .wrapping_add(outside.wrapping_mul(self.edge));
        (sum.wrapping_add(HALF) >> FRACTION_BITS) as u8
    }
}
