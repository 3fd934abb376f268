//! The kernel on planes that libjpeg-turbo decoded, against the pixels that it makes of them itself.
#![allow(unsafe_code)]

use image_decode::{DEFAULT_PIXEL_LIMIT, Decoder, RgbImage};
use proptest::prelude::*;
use turbojpeg::{Image, PixelFormat, Subsamp, YuvImage};

use super::*;

const NUM_THREADS: u32 = 128;

/// Samplings, with the columns and rows of pixels that share a chroma value.
const SAMPLINGS: [(Subsamp, u32, u32); 6] = [
    (Subsamp::None, 1, 1),
    (Subsamp::Sub2x1, 2, 1),
    (Subsamp::Sub1x2, 1, 2),
    (Subsamp::Sub2x2, 2, 2),
    (Subsamp::Sub4x1, 4, 1),
    (Subsamp::Gray, 1, 1),
];

/// A JPEG of coarse and fine noise in strong colours.
fn jpeg(width: u32, height: u32, subsamp: Subsamp, seed: u32) -> Vec<u8> {
    let noise = |at: u32| (at ^ seed).wrapping_mul(2_654_435_761) >> 24;
    let value = |at: u32| {
        let (x, y, c) = (at / 3 % width, at / 3 / width, at % 3);
        (noise((x / 5 + y / 3 * 977) * 3 + c) / 2 + noise(at) / 2) as u8
    };
    let pixels: Vec<u8> = (0..width * height * 3).map(value).collect();
    let image = Image {
        pixels: pixels.as_slice(),
        width: width as usize,
        pitch: width as usize * 3,
        height: height as usize,
        format: PixelFormat::RGB,
    };
    turbojpeg::compress(image, 92, subsamp).unwrap().to_vec()
}

fn by_kernel(yuv: &YuvImage<Vec<u8>>, across: u32, down: u32, backward: bool) -> Vec<u8> {
    let (width, height) = (yuv.width as u32, yuv.height as u32);
    // TurboJPEG's luma planes are whole chroma values large; rows are padded to `align`.
    let row = |width: u32| width.next_multiple_of(yuv.align as u32);
    let luma_stride = row(width.next_multiple_of(across));
    let chroma_stride = row(width.div_ceil(across));
    let chroma_bytes = u64::from(chroma_stride * height.div_ceil(down));
    let luma = yuv.pixels.as_ptr().addr() as u64;
    let blue = luma + u64::from(luma_stride * height.next_multiple_of(down));
    let is_grey = yuv.subsamp == Subsamp::Gray;
    let mut out = vec![0xa5; (width * height * 3) as usize];
    let planes = Planes {
        luma,
        blue: if is_grey { 0 } else { blue },
        red: blue + chroma_bytes,
        out: out.as_mut_ptr().addr() as u64,
        luma_stride,
        chroma_stride,
        width,
        height,
        across,
        down,
    };
    let launch = host_kernels::Launch {
        kernel: KERNEL,
        num_blocks: (width * height).div_ceil(NUM_THREADS),
        num_threads: NUM_THREADS,
        num_views: 1,
        backward,
    };
    // SAFETY: one descriptor, whose planes and pixels are as large as it says and outlive the launch.
    unsafe { host_kernels::run(launch, (&raw const planes).cast(), std::ptr::null_mut()) };
    out
}

fn assert_equal(width: u32, height: u32, (subsamp, across, down): (Subsamp, u32, u32), seed: u32) {
    let file = jpeg(width, height, subsamp, seed);
    let mut expected = RgbImage::new();
    let mut decoder = Decoder::new(DEFAULT_PIXEL_LIMIT);
    decoder.decode(&file, &mut expected).unwrap();
    let yuv = turbojpeg::decompress_to_yuv(&file).unwrap();
    for backward in [false, true] {
        let made = by_kernel(&yuv, across, down, backward);
        let differ = made.iter().zip(expected.pixels()).filter(|(a, b)| a != b);
        let num = differ.count();
        assert_eq!(num, 0, "bytes of {width} x {height}, {subsamp:?}");
    }
}

#[test]
fn small_images_of_every_sampling_and_size_have_the_pixels_of_libjpeg_turbo() {
    for sampling in SAMPLINGS {
        for width in 1..20 {
            for height in 1..20 {
                assert_equal(width, height, sampling, 1);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn images_have_the_pixels_of_libjpeg_turbo(
        width in 1u32..200, height in 1u32..200, sampling in 0..SAMPLINGS.len(), seed in any::<u32>(),
    ) {
        assert_equal(width, height, SAMPLINGS[sampling], seed);
    }
}
