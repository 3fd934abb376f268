//! A JPEG header without the bytes that no marker announces.
//!
//! libjpeg-turbo gets over such bytes but its header call reports them as a failure, so the few files that have them are copied.

/// Markers that stand alone, without a length.
const STANDALONE: std::ops::RangeInclusive<u8> = 0xd0..=0xd8;
const START_OF_SCAN: u8 = 0xda;
const JFIF_SEGMENT: u8 = 0xe0;

/// A copy of `jpeg` that has its marker segments one after the other, and a JFIF version that exists; `None` if the header is cut short.
pub(super) fn without_junk(jpeg: &[u8]) -> Option<Vec<u8>> {
    let mut repaired = jpeg.get(..2)?.to_vec();
    let mut at = 2;
    loop {
        at = next_marker(jpeg, at)?;
        let marker = jpeg[at + 1];
        let end = segment_end(jpeg, at)?;
        let start = repaired.len();
        repaired.extend_from_slice(&jpeg[at..end]);
        if marker == JFIF_SEGMENT {
            correct_version(&mut repaired[start..]);
        }
        if marker == START_OF_SCAN {
            repaired.extend_from_slice(&jpeg[end..]);
            return Some(repaired);
        }
        at = end;
    }
}

/// Where the next marker starts, fill bytes skipped.
fn next_marker(jpeg: &[u8], from: usize) -> Option<usize> {
    let pairs = jpeg.get(from..)?.windows(2);
    let is_marker = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0x00 | 0xff);
    Some(from + pairs.into_iter().position(is_marker)?)
}

/// Where the segment of the marker at `at` ends.
fn segment_end(jpeg: &[u8], at: usize) -> Option<usize> {
    if STANDALONE.contains(&jpeg[at + 1]) {
        return Some(at + 2);
    }
    let length = jpeg.get(at + 2..at + 4)?;
    let end = at + 2 + usize::from(u16::from_be_bytes([length[0], length[1]]));
    (end <= jpeg.len()).then_some(end)
}

/// A JFIF major version other than 1 draws a warning; nothing in the decoding depends on it.
fn correct_version(segment: &mut [u8]) {
    if segment.get(4..9) == Some(b"JFIF\0") && segment.len() > 9 {
        segment[9] = 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_between_segments_are_dropped_and_the_scan_is_kept() {
        let damaged =
            b"\xff\xd8JUNK\xff\xff\xe0\x00\x0bJFIF\0\x07xyzMORE\xff\xda\x00\x02scan\xff\xd9";
        let sound = b"\xff\xd8\xff\xe0\x00\x0bJFIF\0\x01xyz\xff\xda\x00\x02scan\xff\xd9";
        assert_eq!(without_junk(damaged).as_deref(), Some(&sound[..]));
    }

    #[test]
    fn a_header_that_ends_early_is_not_repaired() {
        assert_eq!(without_junk(b"\xff\xd8\xff\xe0\x00\x40JFIF"), None);
        assert_eq!(without_junk(b"\xff\xd8"), None);
        assert_eq!(without_junk(b"\xff"), None);
    }
}
