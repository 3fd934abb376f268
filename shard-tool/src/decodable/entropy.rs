//! Whether the data of a sequential Huffman JPEG hold all of its blocks: walks through the codes, makes no pixels.
//!
//! For files that lack their end marker, whose last blocks a decoder would make up. Memory does not depend on the file.

use shard_format::image_header::{is_alone, next_marker, split_segment};

/// What decoders read ahead and so do not miss behind the last block.
const READ_AHEAD_BYTES: usize = 8;
const CUT: &str = "its data end within a header";

/// Checks that every scan has all of its blocks, and that nothing follows the last.
///
/// # Errors
/// Where the data end.
pub(super) fn check(jpeg: &[u8]) -> Result<(), String> {
    let (mut image, mut rest, mut num_scans) = (Image::default(), &jpeg[2..], 0);
    while let Some((marker, after)) = next_marker(rest) {
        if is_alone(marker) {
            rest = after;
            continue;
        }
        let (segment, after) = split_segment(after)?;
        rest = match marker {
            0xda => {
                num_scans += 1;
                image.scan(segment, after).ok_or(CUT)??
            }
            _ => image.learn(marker, segment).map(|()| after).ok_or(CUT)?,
        };
    }
    match rest.len() {
        _ if num_scans == 0 => Err("it has no data".to_owned()),
        some if some >= READ_AHEAD_BYTES => Err(format!("{some} other bytes follow its data")),
        _ => Ok(()),
    }
}

/// What the headers have said so far.
#[derive(Debug, Default)]
struct Image {
    width: usize,
    height: usize,
    components: Vec<Component>,
    dc_codes: [Option<Codes>; 4],
    ac_codes: [Option<Codes>; 4],
    /// Units between two restart markers; 0 if there are none.
    restart_interval: usize,
}

#[derive(Debug, Clone, Copy)]
struct Component {
    id: u8,
    /// Sampling factors.
    across: usize,
    down: usize,
}

/// A component of a scan: how many blocks a unit has of it, and their codes.
struct Part<'i> {
    num_blocks: usize,
    dc: &'i Codes,
    ac: &'i Codes,
}

impl Image {
    /// Takes over what a segment says; `None` if it is too short for that.
    fn learn(&mut self, marker: u8, segment: &[u8]) -> Option<()> {
        match marker {
            0xc0 | 0xc1 => self.learn_frame(segment),
            0xc4 => self.learn_codes(segment),
            0xdd => {
                self.restart_interval = u16_at(segment, 0)?;
                Some(())
            }
            _ => Some(()),
        }
    }

    fn learn_frame(&mut self, segment: &[u8]) -> Option<()> {
        (self.height, self.width) = (u16_at(segment, 1)?, u16_at(segment, 3)?);
        let components = segment.get(6..)?.chunks_exact(3);
        let component = |bytes: &[u8]| Component {
            id: bytes[0],
            across: usize::from(bytes[1] >> 4).max(1),
            down: usize::from(bytes[1] & 15).max(1),
        };
        self.components = components.map(component).collect();
        Some(())
    }

    fn learn_codes(&mut self, mut segment: &[u8]) -> Option<()> {
        while let Some((place, after)) = segment.split_first() {
            let (codes, after) = Codes::read(after)?;
            let kind = if place >> 4 == 0 {
                &mut self.dc_codes
            } else {
                &mut self.ac_codes
            };
            *kind.get_mut(usize::from(place & 15))? = Some(codes);
            segment = after;
        }
        Some(())
    }

    /// Walks through a scan; what follows it, or where its data end. `None` if its header makes no sense.
    fn scan<'b>(&self, header: &[u8], data: &'b [u8]) -> Option<Result<&'b [u8], String>> {
        let (num_units, parts) = self.units(header)?;
        let mut bits = Bits::new(data);
        for unit in 0..num_units {
            let is_restart =
                self.restart_interval > 0 && unit > 0 && unit % self.restart_interval == 0;
            let walked = (!is_restart || bits.restart().is_some())
                .then(|| parts.iter().try_for_each(|part| part.walk(&mut bits)));
            if walked.flatten().is_none() {
                return Some(Err(format!("its data end at unit {unit} of {num_units}")));
            }
        }
        Some(Ok(bits.rest()))
    }

    /// How many units a scan has, and of what each consists: the blocks of all components, or one block of the only one.
    fn units(&self, header: &[u8]) -> Option<(usize, Vec<Part<'_>>)> {
        let num_parts = usize::from(*header.first()?);
        let chosen = header.get(1..)?.chunks_exact(2).take(num_parts);
        let (mut parts, mut only) = (Vec::new(), None);
        for bytes in chosen {
            let component = self.components.iter().find(|one| one.id == bytes[0])?;
            parts.push(Part {
                num_blocks: component.across * component.down,
                dc: self.dc_codes.get(usize::from(bytes[1] >> 4))?.as_ref()?,
                ac: self.ac_codes.get(usize::from(bytes[1] & 15))?.as_ref()?,
            });
            only = Some(*component).filter(|_| num_parts == 1);
        }
        let largest = |factor: fn(&Component) -> usize| self.components.iter().map(factor).max();
        let (across, down) = (largest(|one| one.across)?, largest(|one| one.down)?);
        let num_units = match (only, parts.first_mut()) {
            (_, None) => return None,
            (Some(component), Some(part)) => {
                part.num_blocks = 1;
                let side =
                    |px: usize, factor: usize, of: usize| (px * factor).div_ceil(of).div_ceil(8);
                side(self.width, component.across, across) * side(self.height, component.down, down)
            }
            (None, _) => self.width.div_ceil(8 * across) * self.height.div_ceil(8 * down),
        };
        Some((num_units, parts))
    }
}

impl Part<'_> {
    /// `None` if the data end within it.
    fn walk(&self, bits: &mut Bits<'_>) -> Option<()> {
        (0..self.num_blocks).try_for_each(|_| {
            let num_bits = self.dc.next(bits)?;
            bits.skip(u32::from(num_bits & 15))?;
            let mut position = 1;
            while position < 64 {
                let code = self.ac.next(bits)?;
                let (run, num_bits) = (code >> 4, code & 15);
                if num_bits == 0 && run < 15 {
                    break;
                }
                bits.skip(u32::from(num_bits))?;
                position += u32::from(run) + 1;
            }
            Some(())
        })
    }
}

/// The codes of a Huffman table, by their length.
#[derive(Debug)]
struct Codes {
    /// How many codes have 1, 2, ... 16 bits.
    counts: [u8; 16],
    values: Vec<u8>,
}

impl Codes {
    /// The codes that a table begins with, and what follows them.
    fn read(table: &[u8]) -> Option<(Self, &[u8])> {
        let (counts, rest) = table.split_first_chunk::<16>()?;
        let num_values = counts.iter().map(|count| usize::from(*count)).sum();
        let (values, rest) = rest.split_at_checked(num_values)?;
        let codes = Self {
            counts: *counts,
            values: values.to_vec(),
        };
        Some((codes, rest))
    }

    /// The value of the code that comes next. `None` if the data end, or if there is no such code.
    fn next(&self, bits: &mut Bits<'_>) -> Option<u8> {
        let (mut code, mut first, mut num_before) = (0u32, 0u32, 0usize);
        for count in self.counts {
            code = code << 1 | bits.next()?;
            first <<= 1;
            if let Some(place) = code
                .checked_sub(first)
                .filter(|place| *place < count.into())
            {
                return self.values.get(num_before + place as usize).copied();
            }
            first += u32::from(count);
            num_before += usize::from(count);
        }
        None
    }
}

/// The bits of a scan, up to a marker or the end of the file.
struct Bits<'b> {
    bytes: &'b [u8],
    at: usize,
    current: u8,
    num_left: u32,
}

impl<'b> Bits<'b> {
    fn new(bytes: &'b [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            current: 0,
            num_left: 0,
        }
    }

    fn next(&mut self) -> Option<u32> {
        if self.num_left == 0 {
            self.current = *self.bytes.get(self.at)?;
            self.at += 1;
            if self.current == 0xff {
                // A zero byte is put behind a byte of ones, so that it is no marker.
                if self.bytes.get(self.at) != Some(&0) {
                    self.at -= 1;
                    return None;
                }
                self.at += 1;
            }
            self.num_left = 8;
        }
        self.num_left -= 1;
        Some(u32::from(self.current >> self.num_left & 1))
    }

    fn skip(&mut self, num_bits: u32) -> Option<()> {
        (0..num_bits).try_for_each(|_| self.next().map(drop))
    }

    /// Goes behind the restart marker that should be here.
    fn restart(&mut self) -> Option<()> {
        let (marker, after) = next_marker(self.rest())?;
        if !matches!(marker, 0xd0..=0xd7) {
            return None;
        }
        self.at = self.bytes.len() - after.len();
        self.num_left = 0;
        Some(())
    }

    fn rest(&self) -> &'b [u8] {
        &self.bytes[self.at..]
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    let pair = bytes.get(at..at + 2)?;
    Some(usize::from(u16::from_be_bytes([pair[0], pair[1]])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::codecs::jpeg::JpegEncoder;
    use image::{DynamicImage, GrayImage, RgbImage};
    use proptest::prelude::*;

    fn encoded(image: &DynamicImage) -> Vec<u8> {
        let mut bytes = Vec::new();
        let encoded = JpegEncoder::new_with_quality(&mut bytes, 90).encode_image(image);
        encoded.expect("encodes");
        bytes
    }

    fn noise(x: u32, y: u32) -> u8 {
        (x.wrapping_mul(31) ^ y.wrapping_mul(17) ^ (x * y)) as u8
    }

    fn images() -> Vec<Vec<u8>> {
        let rgb = |w, h| RgbImage::from_fn(w, h, |x, y| image::Rgb([noise(x, y), noise(y, x), 9]));
        let grey = |w, h| GrayImage::from_fn(w, h, |x, y| image::Luma([noise(x, y)]));
        vec![
            encoded(&rgb(70, 45).into()),
            encoded(&rgb(1, 1).into()),
            encoded(&grey(64, 64).into()),
            encoded(&grey(9, 100).into()),
        ]
    }

    #[test]
    fn an_image_without_its_end_marker_is_complete() {
        for image in images() {
            let (data, end) = image.split_at(image.len() - 2);
            assert_eq!(end, [0xff, 0xd9]);
            assert_eq!(check(data), Ok(()));
        }
    }

    #[test]
    fn an_image_that_lacks_its_last_bytes_is_not() {
        for image in images() {
            let data = &image[..image.len() - 4];
            let told = check(data).expect_err("cut");
            assert!(told.starts_with("its data end"), "{told}");
        }
    }

    #[test]
    fn other_bytes_behind_the_data_are_told() {
        let image = &images()[0];
        let data = [&image[..image.len() - 2], &[0; 20]].concat();
        assert_eq!(
            check(&data),
            Err("20 other bytes follow its data".to_owned())
        );
    }

    proptest! {
        #[test]
        fn no_cut_and_no_flipped_byte_makes_it_panic(
            cut in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), value in any::<u8>()
        ) {
            let mut image = images().swap_remove(0);
            let at = at.index(image.len());
            image[at] = value;
            drop(check(&image[..2 + cut.index(image.len() - 2)]));
        }

        #[test]
        fn every_cut_within_the_data_is_seen(cut in 1usize..2_000) {
            let image = images().swap_remove(0);
            let scan = image.windows(2).rposition(|pair| pair == [0xff, 0xda]).expect("a scan");
            let length = (image.len() - 3 - cut).max(scan + 14);
            prop_assert!(check(&image[..length]).is_err());
        }
    }
}
