//! What libjpeg-turbo says of a JPEG: its header, and its planes. The C side is `jpeg.c`.

// Its build script makes the library that `jpeg.c` calls.
use std::sync::LazyLock;

use turbojpeg_sys as _;

use crate::status;

/// What planes hold where the data are none.
const GARBAGE: u8 = 0x77;

/// Levels by which every value of a plane is off (`STANDIN_LEVELS=n` or `n,m`), as an inverse DCT may round otherwise: the engines', the others'.
static LEVELS: LazyLock<[u8; 2]> = LazyLock::new(|| {
    let levels = std::env::var("STANDIN_LEVELS").unwrap_or_else(|_| "0".to_owned());
    let numbers = levels
        .split(',')
        .map(|level| level.parse().expect("STANDIN_LEVELS has numbers"));
    let numbers: Vec<u8> = numbers.collect();
    [numbers[0], *numbers.last().expect("one at least")]
});

/// A comment that makes the engines fail at a file, which nothing tells beforehand.
pub(crate) const FAILS_ENGINES: &[u8] = b"the stand-in's engines fail here";

/// What decodes a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Engines,
    Hybrid,
}

/// `struct picture` of jpeg.c.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct Header {
    width: u32,
    height: u32,
    bits: u32,
    num_components: u32,
    num_in_scan: u32,
    across: [u32; 4],
    down: [u32; 4],
}

unsafe extern "C" {
    fn nvjpeg_standin_header(bytes: *const u8, num_bytes: usize, header: *mut Header) -> i32;
    fn nvjpeg_standin_planes(
        bytes: *const u8,
        num_bytes: usize,
        channel: *const *mut u8,
        pitch: *const usize,
    ) -> i32;
}

/// A file that was parsed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parsed {
    header: Header,
    frame: u8,
}

/// `nvjpegImage_t`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Image {
    pub(crate) channel: [*mut u8; 4],
    pub(crate) pitch: [usize; 4],
}

// SAFETY: addresses, which whoever enqueued the work keeps valid until it is done.
unsafe impl Send for Image {}

impl Parsed {
    /// Parses a header as nvJPEG does: arithmetic and hierarchical coding are not supported, what libjpeg cannot read is bad.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, u32> {
        let frame = frame_marker(bytes).ok_or(status::INCOMPLETE_BITSTREAM)?;
        if frame > 0xc3 {
            return Err(status::JPEG_NOT_SUPPORTED);
        }
        let mut header = Header::default();
        // SAFETY: the bytes are there, and the struct is that of the C side.
        match unsafe { nvjpeg_standin_header(bytes.as_ptr(), bytes.len(), &raw mut header) } {
            0 => Err(status::BAD_JPEG),
            _ => Ok(Self { header, frame }),
        }
    }

    /// "supports baseline JPEG bitstream with single scan. 410 and 411 sub-samplings are not supported" (NVIDIA's header).
    pub(crate) fn is_for_engines(&self) -> bool {
        let header = &self.header;
        self.is_for_hybrid()
            && self.frame == 0xc0
            && header.num_in_scan == header.num_components
            && (header.num_components == 1 || self.shared().0 <= 2 && self.shared().1 <= 2)
    }

    pub(crate) fn is_for_hybrid(&self) -> bool {
        let header = &self.header;
        matches!(header.num_components, 1 | 3) && header.bits == 8 && self.frame != 0xc3
    }

    fn shared(&self) -> (u32, u32) {
        let Header { across, down, .. } = &self.header;
        (across[0] / across[1], down[0] / down[1])
    }

    /// Values of three planes that share none.
    pub(crate) fn num_values(&self) -> usize {
        3 * self.header.width as usize * self.header.height as usize
    }

    /// Columns and rows of a plane.
    fn plane(&self, component: usize) -> (usize, usize) {
        let header = &self.header;
        let all = 0..header.num_components as usize;
        let most = |factors: &[u32; 4]| all.clone().map(|c| factors[c]).max().unwrap_or(1);
        let part = |length: u32, factors: &[u32; 4]| {
            (length * factors[component]).div_ceil(most(factors)) as usize
        };
        (
            part(header.width, &header.across),
            part(header.height, &header.down),
        )
    }

    /// Writes the planes, or garbage into them where the data are none.
    ///
    /// # Safety
    /// The planes are as large as the header says.
    pub(crate) unsafe fn decode(&self, bytes: &[u8], image: &Image, way: Way) {
        let (channel, pitch) = (image.channel.as_ptr(), image.pitch.as_ptr());
        // SAFETY: the caller's promise; a header other than the one that was parsed is not decoded.
        let is_decoded = Self::read(bytes).is_ok_and(|read| read.is_as(self))
            && unsafe { nvjpeg_standin_planes(bytes.as_ptr(), bytes.len(), channel, pitch) } != 0;
        // SAFETY: the caller's promise.
        unsafe {
            match is_decoded {
                true => {
                    self.change_values(image, |value| value.saturating_add(LEVELS[way as usize]))
                }
                false => self.change_values(image, |_| GARBAGE),
            }
        }
    }

    fn is_as(&self, other: &Self) -> bool {
        let size = |of: &Self| (of.header.num_components, [0, 1, 2].map(|c| of.plane(c)));
        size(self) == size(other)
    }

    /// # Safety
    /// The planes are as large as the header says.
    unsafe fn change_values(&self, image: &Image, change: impl Fn(u8) -> u8) {
        for component in 0..(self.header.num_components as usize).min(4) {
            let (width, height) = self.plane(component);
            for row in 0..height {
                // SAFETY: within the plane.
                let values = unsafe {
                    let start = image.channel[component].add(row * image.pitch[component]);
                    std::slice::from_raw_parts_mut(start, width)
                };
                values.iter_mut().for_each(|value| *value = change(*value));
            }
        }
    }
}

/// The marker of the first frame.
fn frame_marker(bytes: &[u8]) -> Option<u8> {
    let mut at = 2;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == 0xff)?;
        at += bytes.get(at..)?.iter().position(|byte| *byte != 0xff)?;
        match bytes[at] {
            0 | 1 | 0xd0..=0xd8 => at += 1,
            0xc4 | 0xc8 | 0xcc => at += 1 + length(bytes, at + 1)?,
            0xc0..=0xcf => return Some(bytes[at]),
            0xd9 | 0xda => return None,
            _ => at += 1 + length(bytes, at + 1)?,
        }
    }
}

fn length(bytes: &[u8], at: usize) -> Option<usize> {
    let pair = bytes.get(at..at + 2)?;
    Some(usize::from(u16::from_be_bytes([pair[0], pair[1]])))
}
