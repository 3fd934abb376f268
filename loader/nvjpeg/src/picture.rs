//! What a JPEG's header promises: the planes that its decoding fills, and whether nvJPEG is asked at all.
//!
//! The rules are those of nvJPEG 13.3, whose own parser a test asks about the same headers; where it is not known what nvJPEG makes of a file, the file
//! is refused, and the CPU's decoder has the last word. Pure: no library, no device.

use crate::header::{self, Header};

/// An image as its file stores it: one plane, or a luma and two chroma planes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picture {
    /// Columns of the image and of its luma plane.
    pub width: u32,
    /// Rows of the image and of its luma plane.
    pub height: u32,
    /// 1 (grey) or 3 (Y, Cb, Cr).
    pub num_components: u8,
    /// Columns of pixels that share a chroma value.
    pub across: u32,
    /// Rows of pixels that share a chroma value.
    pub down: u32,
}

/// Why nvJPEG is not asked about a file. All but the last few are files that the CPU's decoder may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bytes do not begin as a JPEG does (PNG, WebP, ..).
    #[error("it is no JPEG")]
    NotJpeg,
    /// Lossless, hierarchical or arithmetic coding.
    #[error("its coding is {0}")]
    Coding(&'static str),
    /// Samples of other than 8 bits.
    #[error("its samples have {0} bits")]
    Bits(u8),
    /// Two components, or four and more (CMYK, YCCK).
    #[error("it has {0} components")]
    Components(u8),
    /// Red, green and blue stored as such: the planes are taken for luma and chroma.
    #[error("its components are red, green and blue")]
    Rgb,
    /// A sampling that nvJPEG does not list.
    #[error("its chroma sampling is none that nvJPEG lists")]
    Sampling,
    /// Another than the CPU's decoder would be asked for hours of work.
    #[error("it has more than {MOST_SCANS} scans")]
    Scans,
    /// Whether data are missing is for the CPU's decoder to say: nvJPEG would make up what is missing.
    #[error("its end marker is not where the file ends")]
    Unended,
    /// It takes more memory than nvJPEG ever has.
    #[error("it is too large for nvJPEG's memory")]
    TooLarge,
    /// The header contradicts the format.
    #[error("its header is damaged: {0}")]
    Damaged(&'static str),
}

/// Most scans of a file, as in `image-decode`.
const MOST_SCANS: usize = 500;

/// Most blocks in a unit of a scan; nvJPEG asks it of scans of one component, too.
const MOST_BLOCKS: u32 = 10;

/// Columns and rows that share a chroma value: 4:4:4, 4:2:2, 4:2:0, 4:4:0, 4:1:1, 4:1:0 lying and standing.
const SAMPLINGS: [(u32, u32); 7] = [(1, 1), (2, 1), (2, 2), (1, 2), (4, 1), (4, 2), (2, 4)];

/// Of these, what hardware engines decode ("410 and 411 sub-samplings are not supported", says NVIDIA's header).
const OF_ENGINES: [(u32, u32); 4] = [(1, 1), (2, 1), (2, 2), (1, 2)];

impl Picture {
    /// Reads the header of `jpeg`, a whole file.
    ///
    /// # Errors
    /// Why nvJPEG is not asked.
    pub fn read(jpeg: &[u8]) -> Result<Self, Refusal> {
        Ok(Coded::read(jpeg)?.picture)
    }

    /// Columns and rows of a component's plane.
    pub fn plane(&self, component: usize) -> (u32, u32) {
        match component {
            0 => (self.width, self.height),
            _ => (
                self.width.div_ceil(self.across),
                self.height.div_ceil(self.down),
            ),
        }
    }

    /// Bytes of all coefficients of the image, which a back end keeps between its halves: two for each sample of whole blocks.
    pub(crate) fn num_coefficient_bytes(&self) -> usize {
        let whole = |length: u32, shared: u32| (length.next_multiple_of(8 * shared)) as usize;
        let luma = whole(self.width, self.across) * whole(self.height, self.down);
        let chroma = luma / (self.across * self.down) as usize;
        2 * (luma + usize::from(self.num_components - 1) * chroma)
    }
}

/// A picture, and how it is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Coded {
    pub(crate) picture: Picture,
    /// Baseline in a single scan, of a sampling that engines know.
    pub(crate) is_for_engines: bool,
}

impl Coded {
    pub(crate) fn read(jpeg: &[u8]) -> Result<Self, Refusal> {
        if !header::is_jpeg(jpeg) {
            return Err(Refusal::NotJpeg);
        }
        let header = header::read(jpeg).map_err(Refusal::Damaged)?;
        check_coding(&header)?;
        check_colours(&header)?;
        let (across, down) = sampling(&header)?;
        check_scans(&header, jpeg)?;
        let is_single_scan = header.num_in_scan == header.num_components;
        Ok(Self {
            picture: Picture {
                width: header.width,
                height: header.height,
                num_components: header.num_components,
                across,
                down,
            },
            is_for_engines: header.frame == BASELINE
                && is_single_scan
                && OF_ENGINES.contains(&(across, down)),
        })
    }
}

const BASELINE: u8 = 0xc0;
const PROGRESSIVE: u8 = 0xc2;

fn check_coding(header: &Header) -> Result<(), Refusal> {
    match header.frame {
        BASELINE..=PROGRESSIVE => {}
        0xc3 => return Err(Refusal::Coding("lossless")),
        0xc9..=0xcb => return Err(Refusal::Coding("arithmetic")),
        _ => return Err(Refusal::Coding("hierarchical")),
    }
    if header.bits != 8 {
        return Err(Refusal::Bits(header.bits));
    }
    if header.width == 0 || header.height == 0 {
        return Err(Refusal::Damaged("its width or height is zero"));
    }
    Ok(())
}

/// libjpeg's rule for what three components are.
fn check_colours(header: &Header) -> Result<(), Refusal> {
    if !matches!(header.num_components, 1 | 3) {
        return Err(Refusal::Components(header.num_components));
    }
    if header.num_in_scan > header.num_components {
        return Err(Refusal::Damaged("its scan has more components than it has"));
    }
    if header.num_components == 1 {
        return Ok(());
    }
    let [y, cb, cr] = header.components.map(|component| component.id);
    if y == cb || cb == cr || cr == y {
        return Err(Refusal::Damaged("two components have the same name"));
    }
    let is_rgb = match (header.has_jfif, header.adobe_transform) {
        (true, _) => false,
        (false, Some(transform)) => transform == 0,
        (false, None) => [y, cb, cr] == *b"RGB",
    };
    if is_rgb { Err(Refusal::Rgb) } else { Ok(()) }
}

/// Columns and rows of pixels that share a chroma value.
fn sampling(header: &Header) -> Result<(u32, u32), Refusal> {
    let stored = &header.components[..usize::from(header.num_components)];
    let is_factor = |factor: u8| (1..=4).contains(&factor);
    if !stored
        .iter()
        .all(|component| is_factor(component.across) && is_factor(component.down))
    {
        return Err(Refusal::Damaged("a sampling factor is not 1 to 4"));
    }
    let blocks = |component: &header::Component| u32::from(component.across * component.down);
    let num_blocks: u32 = match header.num_in_scan {
        1 => stored.iter().map(blocks).max().unwrap_or(0),
        _ => stored.iter().map(blocks).sum(),
    };
    if num_blocks > MOST_BLOCKS {
        return Err(Refusal::Sampling);
    }
    let [luma, blue, red] = stored else {
        return Ok((1, 1));
    };
    let is_whole = luma.across % blue.across == 0 && luma.down % blue.down == 0;
    if (blue.across, blue.down) != (red.across, red.down) || !is_whole {
        return Err(Refusal::Sampling);
    }
    let shared = (
        u32::from(luma.across / blue.across),
        u32::from(luma.down / blue.down),
    );
    if !SAMPLINGS.contains(&shared) {
        return Err(Refusal::Sampling);
    }
    Ok(shared)
}

fn check_scans(header: &Header, jpeg: &[u8]) -> Result<(), Refusal> {
    let padding = jpeg.iter().rev().take_while(|byte| **byte == 0).count();
    if !jpeg[..jpeg.len() - padding].ends_with(&[0xff, 0xd9]) {
        return Err(Refusal::Unended);
    }
    // Within the data of a scan the two bytes cannot stand side by side, so at worst a few too many are counted.
    let num_scans = || jpeg.windows(2).filter(|pair| *pair == [0xff, 0xda]).count();
    if header.frame == PROGRESSIVE && num_scans() > MOST_SCANS {
        return Err(Refusal::Scans);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
