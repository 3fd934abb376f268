//! The kernels against the engine on the CPU, without a card: every view must have the same bytes.
#![allow(unsafe_code)]

use image_decode::RgbImage;
use loader_ipc::Recipe;
use proptest::prelude::*;

use super::*;
use crate::augment::{CpuAugmenter, Jitter, JitterOp, Rect, ViewKey, ViewParams, draw};
use crate::photographs::photographs;

/// A view to make: of which image, how, and its size.
type Wanted = (usize, ViewParams, u32);

/// What scratch and slots hold before.
const GARBAGE: u8 = 0xa5;

/// In which order threads run, and how many blocks a launch has at most: with few of them each thread makes much.
const RUNS: [(bool, u32); 3] = [(false, u32::MAX), (true, u32::MAX), (false, 3)];

/// Makes all views as one batch.
fn by_kernels(images: &[RgbImage], wanted: &[Wanted], run: (bool, u32)) -> Vec<Vec<u8>> {
    let (backward, most_blocks) = run;
    let blank = |(_, _, size): &Wanted| vec![GARBAGE; (size * size * 3) as usize];
    let mut out: Vec<Vec<u8>> = wanted.iter().map(blank).collect();
    let mut table = Table::new();
    for (index, ((image, params, size), out)) in wanted.iter().zip(&mut out).enumerate() {
        let image = &images[*image];
        let address = image.pixels().as_ptr().addr() as u64;
        let out = out.as_mut_ptr().addr() as u64;
        let at = |address| DeviceImage {
            address,
            width: image.width(),
            height: image.height(),
        };
        if index % 2 == 0 {
            table.push(at(address), params, *size, out);
        } else {
            let mut alone = Table::new();
            alone.push(at(0), params, *size, 0);
            table.append(&alone, address, |_| out);
        }
    }
    let words = table.scratch_bytes().div_ceil(16) as usize;
    let mut scratch = vec![u128::from_ne_bytes([GARBAGE; 16]); words];
    for Launch { kernel, num_blocks } in table.launches() {
        let launch = host_kernels::Launch {
            kernel,
            num_blocks: num_blocks.min(most_blocks),
            num_threads: NUM_THREADS,
            num_views: table.views().len() as u32,
            backward,
        };
        let views = table.views().as_ptr().cast();
        // SAFETY: the table holds one descriptor for each view; images, views and scratch are as large as they say, and all outlive the launch.
        unsafe { host_kernels::run(launch, views, scratch.as_mut_ptr().cast()) };
    }
    out
}

fn by_cpu(images: &[RgbImage], wanted: &[Wanted]) -> Vec<Vec<u8>> {
    let mut augmenter = CpuAugmenter::new();
    let made = wanted.iter().map(|(image, params, size)| {
        let mut out = vec![0; (size * size * 3) as usize];
        augmenter.apply(&images[*image], params, *size, &mut out);
        out
    });
    made.collect()
}

fn assert_equal(images: &[RgbImage], wanted: &[Wanted]) {
    let expected = by_cpu(images, wanted);
    for run in RUNS {
        let made = by_kernels(images, wanted, run);
        for ((made, expected), wanted) in made.iter().zip(&expected).zip(wanted) {
            let num = made.iter().zip(expected).filter(|(a, b)| a != b).count();
            assert_eq!(num, 0, "bytes differ, {run:?}: {wanted:?}");
        }
    }
}

fn noise(width: u32, height: u32, levels: u32) -> RgbImage {
    let value = |at: u32| (at.wrapping_mul(2_654_435_761) >> 24) % levels * (255 / (levels - 1));
    let pixels = (0..width * height * 3).map(|at| value(at) as u8);
    RgbImage::from_pixels(width, height, pixels.collect())
}

fn waves(width: u32, height: u32) -> RgbImage {
    let value = |at: u32| {
        let (x, y, c) = (at / 3 % width, at / 3 / width, at % 3);
        let phase = f64::from(x) / f64::from(9 + 8 * c) + f64::from(y) / f64::from(31 - 9 * c);
        (127.5 + 127.5 * phase.sin()) as u8
    };
    let pixels = (0..width * height * 3).map(value);
    RgbImage::from_pixels(width, height, pixels.collect())
}

/// The whole image and nothing else.
fn plain(image: &RgbImage, size: u32) -> ViewParams {
    ViewParams {
        crop: Rect {
            left: 0,
            top: 0,
            width: image.width(),
            height: image.height(),
        },
        resized: (size, size),
        window: (0, 0),
        flip: false,
        jitter: None,
        grey: false,
        blur: None,
        solarize: false,
    }
}

fn jitter(order: [JitterOp; 4]) -> Jitter {
    Jitter {
        order,
        brightness: 1.0,
        contrast: 1.0,
        saturation: 1.0,
        hue: None,
    }
}

const ORDER: [JitterOp; 4] = [
    JitterOp::Brightness,
    JitterOp::Contrast,
    JitterOp::Saturation,
    JitterOp::Hue,
];

/// Every operation alone, in several strengths.
fn alone(plain: &ViewParams) -> Vec<ViewParams> {
    let with = |change: &dyn Fn(&mut ViewParams)| {
        let mut params = plain.clone();
        change(&mut params);
        params
    };
    let jittered = |change: &dyn Fn(&mut Jitter)| {
        let mut jitter = jitter(ORDER);
        change(&mut jitter);
        with(&|params| params.jitter = Some(jitter))
    };
    let mut all = vec![
        plain.clone(),
        with(&|params| params.flip = true),
        with(&|params| params.grey = true),
        with(&|params| params.solarize = true),
    ];
    for factor in [0.0, 0.3, 1.0, 1.7, 8.5] {
        all.push(jittered(&|jitter| jitter.brightness = factor));
        all.push(jittered(&|jitter| jitter.contrast = factor));
        all.push(jittered(&|jitter| jitter.saturation = factor));
    }
    for turns in [-0.5, -0.1, 0.0, 0.004, 0.33, 0.5] {
        all.push(jittered(&|jitter| jitter.hue = Some(turns)));
    }
    for radius in [0.0, 0.1, 0.7, 1.3, 2.0, 7.5, 64.0] {
        all.push(with(&|params| params.blur = Some(radius)));
        all.push(with(&|params| {
            (params.blur, params.solarize) = (Some(radius), true);
        }));
    }
    all
}

#[test]
fn every_operation_alone_equals_the_cpu_to_the_bit() {
    let images = [
        noise(61, 47, 256),
        waves(130, 90),
        noise(1, 1, 256),
        noise(33, 33, 4),
    ];
    for size in [1, 2, 5, 32, 57] {
        let of_image = |(index, image)| {
            let all = alone(&plain(image, size)).into_iter();
            all.map(move |params| (index, params, size))
        };
        let wanted: Vec<Wanted> = images.iter().enumerate().flat_map(of_image).collect();
        assert_equal(&images, &wanted);
    }
}

#[test]
fn every_colour_turned_by_any_hue_equals_the_cpu_to_the_bit() {
    // 4096 x 4096 pixels: all colours there are; one shift, since the way back takes any hue anyway.
    let colours =
        (0..1u32 << 24).flat_map(|bits| [bits as u8, (bits >> 8) as u8, (bits >> 16) as u8]);
    let images = [RgbImage::from_pixels(4096, 4096, colours.collect())];
    let mut params = plain(&images[0], 4096);
    params.jitter = Some(Jitter {
        hue: Some(0.1),
        ..jitter(ORDER)
    });
    let wanted = [(0, params, 4096)];
    let expected = by_cpu(&images, &wanted);
    assert!(by_kernels(&images, &wanted, RUNS[0]) == expected);
}

#[test]
fn whole_views_of_whole_batches_equal_the_cpu_to_the_bit() {
    let images = [
        waves(500, 375),
        noise(333, 512, 256),
        waves(120, 900),
        noise(1, 250, 256),
    ];
    assert_whole_views_equal(&images, 2);
}

#[test]
fn whole_views_of_photographs_equal_the_cpu_to_the_bit() {
    let images: Vec<_> = photographs().into_iter().map(|it| it.pixels).collect();
    assert_whole_views_equal(&images, 8);
}

fn assert_whole_views_equal(images: &[RgbImage], num_epochs: u32) {
    for recipe in [Recipe::sslight(), Recipe::evaluation(256, 224)] {
        for epoch in 0..num_epochs {
            let mut wanted = Vec::new();
            for (sample, image) in images.iter().enumerate() {
                for (view, spec) in recipe.views.iter().enumerate() {
                    let key = ViewKey {
                        seed: 3,
                        epoch,
                        sample: sample as u64,
                        view: view as u16,
                    };
                    let params = draw(key, spec, image.width(), image.height());
                    wanted.push((sample, params, spec.size));
                }
            }
            assert_equal(images, &wanted);
        }
    }
}

prop_compose! {
    /// Any parameters that an image of that size can be given, and the view's size.
    fn any_params(width: u32, height: u32)(
        size in 1u32..48, sides in any::<[u32; 2]>(), places in any::<[u32; 2]>(), margins in [0u32..90, 0u32..90], centred in any::<bool>(),
        flip in any::<bool>(), grey in prop::bool::weighted(0.2), solarize in any::<bool>(), blur in prop::option::of(0.0f32..9.0),
        jittered in any::<bool>(), order in Just(ORDER.to_vec()).prop_shuffle(), factors in [0.0f32..4.0, 0.0f32..4.0, 0.0f32..4.0],
        hue in prop::option::of(-0.5f32..0.5),
    ) -> (ViewParams, u32) {
        let crop_width = 1 + sides[0] % width;
        let crop_height = 1 + sides[1] % height;
        let crop = Rect {
            left: places[0] % (width - crop_width + 1),
            top: places[1] % (height - crop_height + 1),
            width: crop_width,
            height: crop_height,
        };
        let margins = if centred { margins } else { [0, 0] };
        let jitter = jittered.then_some(Jitter {
            order: [order[0], order[1], order[2], order[3]],
            brightness: factors[0],
            contrast: factors[1],
            saturation: factors[2],
            hue,
        });
        let params = ViewParams {
            crop,
            resized: (size + margins[0], size + margins[1]),
            window: (margins[0] / 2, margins[1] / 3),
            flip, jitter, grey, blur, solarize,
        };
        (params, size)
    }
}

proptest! {
    #[test]
    fn any_views_of_any_images_equal_the_cpu_to_the_bit(
        (sizes, params) in prop::collection::vec((1u32..300, 1u32..300), 1..5).prop_flat_map(|sizes| {
            let params: Vec<_> = sizes.iter().map(|&(width, height)| any_params(width, height)).collect();
            (Just(sizes), params)
        }),
    ) {
        let images: Vec<RgbImage> = sizes.iter().map(|&(width, height)| noise(width, height, 256)).collect();
        let wanted: Vec<Wanted> = params.into_iter().enumerate().map(|(at, (params, size))| (at, params, size)).collect();
        assert_equal(&images, &wanted);
    }
}

#[test]
fn what_is_huge_or_tiny_is_resized_as_on_the_cpu() {
    let images = [
        waves(3000, 1200),
        noise(2, 900, 256),
        noise(1, 1, 256),
        waves(700, 3),
    ];
    let mut wanted = Vec::new();
    for (index, image) in images.iter().enumerate() {
        for size in [1, 3, 224] {
            wanted.push((index, plain(image, size), size));
        }
    }
    assert_equal(&images, &wanted);
}

#[test]
fn a_batch_without_colour_or_blur_takes_three_launches_and_any_other_seven_at_most() {
    let image = noise(9, 9, 256);
    let on_device = DeviceImage {
        address: 0,
        width: 9,
        height: 9,
    };
    let mut table = Table::new();
    table.push(on_device, &plain(&image, 4), 4, 0);
    assert_eq!(table.launches().count(), 3);
    for params in alone(&plain(&image, 4)) {
        table.push(on_device, &params, 4, 0);
    }
    assert_eq!(table.launches().count(), KERNELS.len());
    table.clear();
    assert_eq!((table.launches().count(), table.scratch_bytes()), (0, 0));
}
