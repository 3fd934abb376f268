//! What is known of an image without decoding it.

/// How an image is coded. The numbers are those in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ImageKind {
    /// Sequential Huffman JPEG, 8 bits (SOF0).
    JpegBaseline = 1,
    /// Extended sequential Huffman JPEG (SOF1).
    JpegExtended = 2,
    /// Progressive Huffman JPEG (SOF2).
    JpegProgressive = 3,
    /// Lossless JPEG (SOF3, SOF11).
    JpegLossless = 4,
    /// Sequential JPEG with arithmetic coding (SOF9).
    JpegArithmetic = 5,
    /// Progressive JPEG with arithmetic coding (SOF10).
    JpegArithmeticProgressive = 6,
    /// Hierarchical JPEG (SOF5-7, SOF13-15).
    JpegHierarchical = 7,
    /// PNG.
    Png = 8,
}

impl ImageKind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::JpegBaseline,
        Self::JpegExtended,
        Self::JpegProgressive,
        Self::JpegLossless,
        Self::JpegArithmetic,
        Self::JpegArithmeticProgressive,
        Self::JpegHierarchical,
        Self::Png,
    ];

    /// The kind with this number in the index.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == code)
    }

    /// The name in the manifest and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::JpegBaseline => "jpeg-baseline",
            Self::JpegExtended => "jpeg-extended",
            Self::JpegProgressive => "jpeg-progressive",
            Self::JpegLossless => "jpeg-lossless",
            Self::JpegArithmetic => "jpeg-arithmetic",
            Self::JpegArithmeticProgressive => "jpeg-arithmetic-progressive",
            Self::JpegHierarchical => "jpeg-hierarchical",
            Self::Png => "png",
        }
    }

    /// Whether it is some JPEG.
    pub fn is_jpeg(self) -> bool {
        self != Self::Png
    }

    /// Extension of the member in the shard.
    pub fn extension(self) -> &'static str {
        if self.is_jpeg() { "jpg" } else { "png" }
    }
}

/// What the channels of the stored image mean. The numbers are those in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ColourModel {
    /// One channel.
    Grey = 1,
    /// Luma and two colour differences, the usual JPEG.
    YCbCr = 2,
    /// Red, green, blue.
    Rgb = 3,
    /// Four inks.
    Cmyk = 4,
    /// Four inks, the first three coded as luma and colour differences.
    Ycck = 5,
    /// Grey and alpha.
    GreyAlpha = 6,
    /// Red, green, blue, alpha.
    Rgba = 7,
    /// Indices into a palette.
    Palette = 8,
    /// A JPEG with a number of components for which no convention exists.
    Other = 9,
}

impl ColourModel {
    /// All models.
    pub const ALL: [Self; 9] = [
        Self::Grey,
        Self::YCbCr,
        Self::Rgb,
        Self::Cmyk,
        Self::Ycck,
        Self::GreyAlpha,
        Self::Rgba,
        Self::Palette,
        Self::Other,
    ];

    /// The model with this number in the index.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|model| *model as u8 == code)
    }

    /// The name in the manifest and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grey => "grey",
            Self::YCbCr => "ycbcr",
            Self::Rgb => "rgb",
            Self::Cmyk => "cmyk",
            Self::Ycck => "ycck",
            Self::GreyAlpha => "grey-alpha",
            Self::Rgba => "rgba",
            Self::Palette => "palette",
            Self::Other => "other",
        }
    }
}

/// What the header of an image says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageHeader {
    /// How it is coded.
    pub kind: ImageKind,
    /// What its channels mean.
    pub colour: ColourModel,
    /// Bits per channel.
    pub bits: u8,
    /// Width in pixels, at least 1.
    pub width: u32,
    /// Height in pixels, at least 1.
    pub height: u32,
}
