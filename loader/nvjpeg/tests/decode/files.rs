//! JPEGs for tests: those that libjpeg-turbo writes, and those of any sampling and any scans that the few lines of an encoder below do.

use turbojpeg::{Compressor, Image, PixelFormat, Subsamp, Transform};

/// The samplings that libjpeg-turbo writes; what engines take of them comes first.
pub(crate) const SAMPLINGS: [Subsamp; 6] = [
    Subsamp::None,
    Subsamp::Sub2x1,
    Subsamp::Sub2x2,
    Subsamp::Sub1x2,
    Subsamp::Gray,
    Subsamp::Sub4x1,
];

/// Coarse and fine noise in strong colours.
pub(crate) fn pixels(width: u32, height: u32, channels: u32, seed: u32) -> Vec<u8> {
    let noise = |at: u32| (at ^ seed).wrapping_mul(2_654_435_761) >> 24;
    let value = |at: u32| {
        let (x, y, c) = (at / channels % width, at / channels / width, at % channels);
        (noise((x / 5 + y / 3 * 977) * channels + c) / 2 + noise(at) / 2) as u8
    };
    (0..width * height * channels).map(value).collect()
}

/// A baseline JPEG.
pub(crate) fn jpeg(width: u32, height: u32, subsamp: Subsamp, seed: u32) -> Vec<u8> {
    written(
        width,
        height,
        PixelFormat::RGB,
        |writer| writer.set_subsamp(subsamp),
        seed,
    )
}

/// A JPEG of four inks.
pub(crate) fn cmyk(width: u32, height: u32) -> Vec<u8> {
    written(
        width,
        height,
        PixelFormat::CMYK,
        |writer| writer.set_subsamp(Subsamp::None),
        1,
    )
}

fn written(
    width: u32,
    height: u32,
    format: PixelFormat,
    set: impl Fn(&mut Compressor) -> turbojpeg::Result<()>,
    seed: u32,
) -> Vec<u8> {
    let channels = format.size();
    let pixels = pixels(width, height, channels as u32, seed);
    let image = Image {
        pixels: pixels.as_slice(),
        width: width as usize,
        pitch: width as usize * channels,
        height: height as usize,
        format,
    };
    let mut writer = Compressor::new().unwrap();
    writer.set_quality(90).unwrap();
    set(&mut writer).unwrap();
    writer.compress_to_vec(image).unwrap()
}

/// The same coefficients, progressive.
pub(crate) fn progressive(jpeg: &[u8]) -> Vec<u8> {
    transformed(jpeg, |transform| transform.progressive = true)
}

/// The same coefficients, in arithmetic coding.
pub(crate) fn arithmetic(jpeg: &[u8]) -> Vec<u8> {
    transformed(jpeg, |transform| transform.arithmetic = true)
}

fn transformed(jpeg: &[u8], set: impl Fn(&mut Transform)) -> Vec<u8> {
    let mut transform = Transform::default();
    set(&mut transform);
    turbojpeg::transform(&transform, jpeg).unwrap().to_vec()
}

/// Sampling factors of luma and of both chroma components.
pub(crate) type Factors = [(u32, u32); 2];

/// A JPEG of flat blocks in three components of any sampling, in one scan or in one for each component.
pub(crate) fn flat_blocks(
    width: u32,
    height: u32,
    [luma, chroma]: Factors,
    one_scan: bool,
) -> Vec<u8> {
    let components = [luma, chroma, chroma];
    let mut file = vec![0xff, 0xd8];
    segment(&mut file, 0xdb, &[&[0][..], &[8; 64]].concat());
    let mut frame = vec![8];
    frame.extend((height as u16).to_be_bytes());
    frame.extend((width as u16).to_be_bytes());
    frame.push(3);
    for (id, (across, down)) in (1..).zip(components) {
        frame.extend([id, (across << 4 | down) as u8, 0]);
    }
    segment(&mut file, 0xc0, &frame);
    // Direct terms of up to 7 bits, each class with a code of 3 bits; alternating terms: a block ends at once, by a code of one bit.
    segment(
        &mut file,
        0xc4,
        &[&[0, 0, 0, 7][..], &[0; 13], &[0, 1, 2, 3, 4, 5, 6]].concat(),
    );
    segment(&mut file, 0xc4, &[&[0x10, 1][..], &[0; 15], &[0]].concat());
    let scans: &[&[usize]] = if one_scan {
        &[&[0, 1, 2]]
    } else {
        &[&[0], &[1], &[2]]
    };
    for scan in scans {
        let mut header = vec![scan.len() as u8];
        scan.iter().for_each(|&c| header.extend([c as u8 + 1, 0]));
        header.extend([0, 63, 0]);
        segment(&mut file, 0xda, &header);
        file.extend(scan_data(width, height, &components, scan));
    }
    file.extend([0xff, 0xd9]);
    file
}

fn segment(file: &mut Vec<u8>, marker: u8, body: &[u8]) {
    file.extend([0xff, marker]);
    file.extend((body.len() as u16 + 2).to_be_bytes());
    file.extend(body);
}

fn scan_data(width: u32, height: u32, components: &[(u32, u32)], scan: &[usize]) -> Vec<u8> {
    let (across, down) = components[0];
    let mut bits = Bits::default();
    let mut before = [0; 3];
    if let [c] = *scan {
        let (h, v) = components[c];
        let blocks =
            |length: u32, factor: u32, most: u32| (length * factor).div_ceil(most).div_ceil(8);
        for at in 0..blocks(width, h, across) * blocks(height, v, down) {
            bits.block(&mut before[c], at, c);
        }
    } else {
        for unit in 0..width.div_ceil(8 * across) * height.div_ceil(8 * down) {
            for &c in scan {
                let (h, v) = components[c];
                (0..h * v).for_each(|block| bits.block(&mut before[c], unit * 16 + block, c));
            }
        }
    }
    bits.finished()
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    open: u32,
    num_open: u32,
}

impl Bits {
    /// A block of a value that is made of its place.
    fn block(&mut self, before: &mut i32, at: u32, component: usize) {
        let noise = (at * 3 + component as u32).wrapping_mul(2_654_435_761) >> 24;
        let value = (noise as i32 - 128) / 5;
        let difference = value - std::mem::replace(before, value);
        let size = 32 - difference.unsigned_abs().leading_zeros();
        self.push(size, 3);
        let stored = if difference < 0 {
            difference - 1
        } else {
            difference
        };
        self.push(stored as u32 & ((1 << size) - 1), size);
        self.push(0, 1);
    }

    fn push(&mut self, value: u32, num_bits: u32) {
        self.open = self.open << num_bits | value;
        self.num_open += num_bits;
        while self.num_open >= 8 {
            self.num_open -= 8;
            let byte = (self.open >> self.num_open) as u8;
            self.bytes.push(byte);
            if byte == 0xff {
                self.bytes.push(0);
            }
        }
        self.open &= (1 << self.num_open) - 1;
    }

    fn finished(mut self) -> Vec<u8> {
        self.push(0x7f, 7);
        self.bytes
    }
}

/// The same file with a comment, at which the stand-in's engines fail.
pub(crate) fn failing_engines(jpeg: &[u8]) -> Vec<u8> {
    let text = b"the stand-in's engines fail here";
    let length = (text.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], b"\xff\xfe", &length, text, &jpeg[2..]].concat()
}
