//! The kernel on planes that libjpeg-turbo decoded, against the pixels that it makes of them itself.
#![allow(unsafe_code)]

use image_decode::{DEFAULT_PIXEL_LIMIT, Decoder, RgbImage};
use proptest::prelude::*;
use turbojpeg::{Colorspace, Compressor, Image, PixelFormat, Subsamp, YuvImage};

use super::*;
use crate::photographs::{Photograph, photographs};

/// In which order threads run, and how many blocks there are at most: with few of them each thread makes many pixels.
const RUNS: [(bool, u32); 3] = [(false, u32::MAX), (true, u32::MAX), (false, 2)];

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
    let image = of_rgb(&pixels, width, height);
    turbojpeg::compress(image, 92, subsamp).unwrap().to_vec()
}

fn by_kernel(
    yuv: &YuvImage<Vec<u8>>,
    (across, down): (u32, u32),
    (backward, most_blocks): (bool, u32),
) -> Vec<u8> {
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
        num_blocks: num_blocks((width * height) as usize, 1).min(most_blocks),
        num_threads: cuda::NUM_THREADS,
        num_views: 1,
        backward,
    };
    // SAFETY: one descriptor, whose planes and pixels are as large as it says and outlive the launch.
    unsafe { host_kernels::run(launch, (&raw const planes).cast(), std::ptr::null_mut()) };
    out
}

fn assert_equal(width: u32, height: u32, sampling: (Subsamp, u32, u32), seed: u32) {
    assert_pixels(&jpeg(width, height, sampling.0, seed), sampling);
}

fn assert_pixels(file: &[u8], (subsamp, across, down): (Subsamp, u32, u32)) {
    let mut expected = RgbImage::new();
    let mut decoder = Decoder::new(DEFAULT_PIXEL_LIMIT);
    decoder.decode(file, &mut expected).unwrap();
    let yuv = turbojpeg::decompress_to_yuv(file).unwrap();
    let (width, height) = (yuv.width, yuv.height);
    for run in RUNS {
        let made = by_kernel(&yuv, (across, down), run);
        let differ = made.iter().zip(expected.pixels()).filter(|(a, b)| a != b);
        let num = differ.count();
        assert_eq!(num, 0, "bytes of {width} x {height}, {subsamp:?}, {run:?}");
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

#[test]
fn photographs_of_every_sampling_have_the_pixels_of_libjpeg_turbo_be_they_progressive_or_not() {
    for Photograph { file, pixels } in photographs() {
        for sampling in SAMPLINGS {
            for progressive in [false, true] {
                let file = written(&pixels, sampling.0, progressive);
                let header = turbojpeg::read_header(&file).unwrap();
                assert_eq!(
                    (header.subsamp, header.is_progressive),
                    (sampling.0, progressive)
                );
                assert_pixels(&file, sampling);
            }
        }
        if let Some(sampling) = own_sampling(&file) {
            assert_pixels(&file, sampling);
        }
    }
}

/// That of a file; `None` where it is no JPEG, or has other colours.
fn own_sampling(file: &[u8]) -> Option<(Subsamp, u32, u32)> {
    let header = turbojpeg::read_header(file).ok()?;
    let has_planes = matches!(header.colorspace, Colorspace::YCbCr | Colorspace::Gray);
    SAMPLINGS
        .into_iter()
        .find(|sampling| has_planes && sampling.0 == header.subsamp)
}

fn written(image: &RgbImage, subsamp: Subsamp, progressive: bool) -> Vec<u8> {
    let mut compressor = Compressor::new().unwrap();
    compressor.set_quality(85).unwrap();
    compressor.set_subsamp(subsamp).unwrap();
    compressor.set_progressive(progressive).unwrap();
    let pixels = image.pixels();
    compressor
        .compress_to_vec(of_rgb(pixels, image.width(), image.height()))
        .unwrap()
}

fn of_rgb(pixels: &[u8], width: u32, height: u32) -> Image<&[u8]> {
    Image {
        pixels,
        width: width as usize,
        pitch: width as usize * 3,
        height: height as usize,
        format: PixelFormat::RGB,
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
