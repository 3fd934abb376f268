use loader_ipc::recipe::{Blur, Crop, Jitter, ViewSpec};
use proptest::prelude::*;

use super::*;
use crate::augment::{ViewKey, draw};

/// An image of any values.
fn image(width: u32, height: u32) -> RgbImage {
    let len = width * height * 3;
    let pixels = (0..len).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8);
    RgbImage::from_pixels(width, height, pixels.collect())
}

fn busy(size: u32, crop: Crop) -> ViewSpec {
    ViewSpec {
        size,
        crop,
        flip_prob: 0.5,
        jitter: Jitter {
            prob: 0.8,
            brightness: 2.0,
            contrast: 2.0,
            saturation: 2.0,
            hue: 0.5,
        },
        grey_prob: 0.2,
        blur: Blur {
            prob: 0.8,
            radius: [0.0, 30.0],
        },
        solarize_prob: 0.5,
    }
}

fn view(augmenter: &mut CpuAugmenter, image: &RgbImage, spec: &ViewSpec, sample: u64) -> Vec<u8> {
    let key = ViewKey {
        seed: 0,
        epoch: 0,
        sample,
        view: 0,
    };
    let params = draw(key, spec, image.width(), image.height());
    let mut out = vec![0; (spec.size * spec.size * 3) as usize];
    augmenter.apply(image, &params, spec.size, &mut out);
    out
}

#[test]
fn what_an_augmenter_did_before_does_not_change_a_view() {
    let crop = Crop::RandomResized {
        scale: [0.1, 1.0],
        ratio: [0.75, 1.33],
    };
    let (large, small) = (image(300, 200), image(31, 77));
    let mut used = CpuAugmenter::new();
    for sample in 0..20 {
        view(&mut used, &large, &busy(64, crop.clone()), sample);
        let spec = busy(33, crop.clone());
        let fresh = view(&mut CpuAugmenter::new(), &small, &spec, sample);
        assert_eq!(view(&mut used, &small, &spec, sample), fresh);
    }
}

#[test]
fn nothing_outside_the_crop_is_read() {
    let inside = RgbImage::from_pixels(20, 20, vec![100; 20 * 20 * 3]);
    let mut pixels = vec![255; 40 * 40 * 3];
    for y in 10..30 {
        pixels[(y * 40 + 10) * 3..(y * 40 + 30) * 3].fill(100);
    }
    let surrounded = RgbImage::from_pixels(40, 40, pixels);
    let spec = busy(
        13,
        Crop::RandomResized {
            scale: [1.0, 1.0],
            ratio: [1.0, 1.0],
        },
    );
    let mut params = draw(
        ViewKey {
            seed: 0,
            epoch: 0,
            sample: 0,
            view: 0,
        },
        &spec,
        20,
        20,
    );
    let mut expected = vec![0; 13 * 13 * 3];
    CpuAugmenter::new().apply(&inside, &params, 13, &mut expected);
    (params.crop.left, params.crop.top) = (10, 10);
    let mut out = vec![0; 13 * 13 * 3];
    CpuAugmenter::new().apply(&surrounded, &params, 13, &mut out);
    assert_eq!(out, expected);
}

#[test]
#[should_panic(expected = "is not in an image of 20 x 20 pixels")]
fn parameters_of_another_image_are_refused() {
    let spec = busy(8, Crop::Center { resize_short: 8 });
    let params = draw(
        ViewKey {
            seed: 0,
            epoch: 0,
            sample: 0,
            view: 0,
        },
        &spec,
        30,
        30,
    );
    CpuAugmenter::new().apply(&image(20, 20), &params, 8, &mut [0; 192]);
}

proptest! {
    #[test]
    fn any_view_of_any_image_can_be_made(
        width in 1u32..=64, height in 1u32..=64, size in 1u32..=40, sample in any::<u64>(),
        low in 0.001f32..1.0, narrow in 0.1f32..2.0, margin in 0u32..30, centred in any::<bool>(),
    ) {
        let crop = if centred {
            Crop::Center { resize_short: size + margin }
        } else {
            Crop::RandomResized { scale: [low, 1.0], ratio: [narrow, narrow * 2.0] }
        };
        view(&mut CpuAugmenter::new(), &image(width, height), &busy(size, crop), sample);
    }
}
