//! The header of a JPEG up to its first scan: what it takes to know planes and routes. Source: ITU-T T.81.
//!
//! Pure: bytes in, facts out; it never panics, whatever the bytes. Junk between segments is passed over, as nvJPEG and libjpeg-turbo do. What of it is
//! refused is `picture`'s affair.

/// A component of the frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Component {
    pub(crate) id: u8,
    pub(crate) across: u8,
    pub(crate) down: u8,
}

/// Most components that are kept; a frame of more is refused whatever they are.
const MOST: usize = 3;

/// Frame header, the first scan's header, and what the segments before them say of the colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Header {
    /// Marker of the frame: `0xc0` is baseline.
    pub(crate) frame: u8,
    pub(crate) bits: u8,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) num_components: u8,
    /// The first of them.
    pub(crate) components: [Component; MOST],
    /// Components in the first scan.
    pub(crate) num_in_scan: u8,
    pub(crate) has_jfif: bool,
    pub(crate) adobe_transform: Option<u8>,
}

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const APP0: u8 = 0xe0;
const APP14: u8 = 0xee;

/// Lengths from which libjpeg takes the segments of colour seriously.
const JFIF_LEN: usize = 14;
const ADOBE_LEN: usize = 12;

const CUT: &str = "the file ends within its header";

/// Whether the bytes begin as a JPEG does.
pub(crate) fn is_jpeg(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, SOI, 0xff])
}

/// Reads the header of a file that begins as a JPEG does.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read(bytes: &[u8]) -> Result<Header, &'static str> {
    let mut header = Header::default();
    let mut rest = bytes.get(2..).ok_or(CUT)?;
    loop {
        let (marker, after) = next_marker(rest).ok_or(CUT)?;
        rest = after;
        match marker {
            0x01 | 0xd0..=SOI => continue,
            EOI => return Err("it ends before its first scan"),
            _ => {}
        }
        let (segment, after) = split_segment(rest)?;
        rest = after;
        match marker {
            APP0 => header.has_jfif |= segment.len() >= JFIF_LEN && segment.starts_with(b"JFIF\0"),
            APP14 if segment.len() >= ADOBE_LEN && segment.starts_with(b"Adobe") => {
                header.adobe_transform = Some(segment[11]);
            }
            SOS => return with_scan(header, segment),
            _ if is_frame(marker) => take_frame(&mut header, marker, segment)?,
            _ => {}
        }
    }
}

/// The next marker and what follows it.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let mut at = 0;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == 0xff)?;
        at += bytes.get(at..)?.iter().position(|byte| *byte != 0xff)?;
        if bytes[at] != 0 {
            return Some((bytes[at], &bytes[at + 1..]));
        }
    }
}

/// A segment without its length, and what follows it.
fn split_segment(bytes: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    let [high, low, ..] = bytes else {
        return Err(CUT);
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if length < 2 {
        return Err("a segment has an impossible length");
    }
    let (segment, after) = bytes.split_at_checked(length).ok_or(CUT)?;
    Ok((&segment[2..], after))
}

/// Whether a marker begins a frame; `0xc4`, `0xc8` and `0xcc` do not.
fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf)
}

fn take_frame(header: &mut Header, marker: u8, segment: &[u8]) -> Result<(), &'static str> {
    if header.frame != 0 {
        return Err("it has two frame headers");
    }
    let [bits, h1, h0, w1, w0, num_components, components @ ..] = segment else {
        return Err("its frame header is cut short");
    };
    if components.len() != 3 * usize::from(*num_components) {
        return Err("its frame header is not as long as its components");
    }
    header.frame = marker;
    header.bits = *bits;
    header.height = u16::from_be_bytes([*h1, *h0]).into();
    header.width = u16::from_be_bytes([*w1, *w0]).into();
    header.num_components = *num_components;
    for (kept, stored) in header.components.iter_mut().zip(components.chunks_exact(3)) {
        *kept = Component {
            id: stored[0],
            across: stored[1] >> 4,
            down: stored[1] & 15,
        };
    }
    Ok(())
}

fn with_scan(mut header: Header, segment: &[u8]) -> Result<Header, &'static str> {
    if header.frame == 0 {
        return Err("a scan comes before the frame header");
    }
    let [num_in_scan, rest @ ..] = segment else {
        return Err("its scan header is cut short");
    };
    if rest.len() != 2 * usize::from(*num_in_scan) + 3 || *num_in_scan == 0 {
        return Err("its scan header is not as long as its components");
    }
    header.num_in_scan = *num_in_scan;
    Ok(header)
}
