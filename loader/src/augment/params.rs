//! What one view looks like: plain numbers, drawn once, applied by any backend.

/// A rectangle in whole pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rect {
    /// Column of the left edge.
    pub left: u32,
    /// Row of the top edge.
    pub top: u32,
    /// Number of columns.
    pub width: u32,
    /// Number of rows.
    pub height: u32,
}

/// Everything that makes a view of an image, in the order in which it is applied.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewParams {
    /// The part of the image that is cut out first; nothing outside it is read.
    pub crop: Rect,
    /// Width and height that the crop is resized to (bicubic, antialiased).
    pub resized: (u32, u32),
    /// Left and top of the view within the resized crop; the view is square, its size the recipe's.
    pub window: (u32, u32),
    /// Whether the view is mirrored left to right.
    pub flip: bool,
    /// Colour jitter.
    pub jitter: Option<Jitter>,
    /// Whether the view turns grey.
    pub grey: bool,
    /// Radius (standard deviation) of the Gaussian blur in pixels.
    pub blur: Option<f32>,
    /// Whether values of 128 or more are inverted.
    pub solarize: bool,
}

impl ViewParams {
    /// Whether the resize goes along the rows first. Pillow 13 starts along the columns where the height shrinks by more than twice what the width does.
    pub(super) fn rows_go_first(&self) -> bool {
        let (width, height) = self.resized;
        let lost_rows = i64::from(self.crop.height) - i64::from(height);
        let lost_columns = i64::from(self.crop.width) - i64::from(width);
        !(lost_rows > 0 && lost_rows > 2 * lost_columns)
    }

    /// Panics unless a view of `size` pixels can be made of an image of that width and height.
    pub(super) fn check(&self, width: u32, height: u32, size: u32) {
        let within = |start: u32, len: u32, limit: u32| {
            len > 0 && start.checked_add(len).is_some_and(|end| end <= limit)
        };
        let crop = self.crop;
        let fits = within(crop.left, crop.width, width) && within(crop.top, crop.height, height);
        assert!(
            fits,
            "{crop:?} is not in an image of {width} x {height} pixels"
        );
        let ((width, height), (left, top)) = (self.resized, self.window);
        let fits = within(left, size, width) && within(top, size, height);
        assert!(
            fits,
            "{size} pixels at ({left}, {top}) are not in {width} x {height} pixels"
        );
    }
}

/// The factors of a colour jitter. A brightness, contrast or saturation of 1 changes nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jitter {
    /// The order of the four operations.
    pub order: [JitterOp; 4],
    /// Factor of the blend with black.
    pub brightness: f32,
    /// Factor of the blend with the mean grey.
    pub contrast: f32,
    /// Factor of the blend with the pixel's own grey.
    pub saturation: f32,
    /// Shift of the hue in turns, within -0.5..=0.5; `None` leaves out the round trip through 8-bit HSV, which loses a little.
    pub hue: Option<f32>,
}

impl Jitter {
    /// The shift in 256ths of the 8-bit hue: `turns * 255` truncated, modulo 256.
    pub(super) fn hue_shift(&self) -> Option<u8> {
        self.hue
            .map(|turns| (f64::from(turns) * 255.0) as i32 as u8)
    }
}

/// One operation of a colour jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JitterOp {
    /// See [`Jitter::brightness`].
    Brightness,
    /// See [`Jitter::contrast`].
    Contrast,
    /// See [`Jitter::saturation`].
    Saturation,
    /// See [`Jitter::hue`].
    Hue,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negative_shifts_of_the_hue_wrap_around() {
        let shift = |turns| {
            let jitter = Jitter {
                order: [JitterOp::Hue; 4],
                brightness: 1.0,
                contrast: 1.0,
                saturation: 1.0,
                hue: Some(turns),
            };
            jitter.hue_shift().unwrap()
        };
        assert_eq!([0.5, 0.1, -0.1, -0.5].map(shift), [127, 25, 231, 129]);
    }
}
