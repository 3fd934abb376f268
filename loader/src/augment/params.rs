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
