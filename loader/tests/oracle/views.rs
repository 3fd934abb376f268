//! Every operation alone, and whole views, equal to the bit.

use std::path::Path;

use image_decode::RgbImage;
use loader::augment::{CpuAugmenter, JitterOp, ViewKey, ViewParams, draw};
use loader_ipc::recipe::{Blur, Crop, Jitter, ViewSpec};
use serde_json::{Value, json};

use crate::run_reference;

/// Views drawn for each image and spec.
const NUM_DRAWS: u64 = 12;

#[test]
fn crops_and_resizes_equal_pillow_to_the_bit() {
    compare(&[
        plain(224, [0.05, 1.0]),
        plain(37, [0.05, 1.0]),
        plain(1, [0.05, 1.0]),
    ]);
}

#[test]
fn mirrored_crops_equal_pillow_to_the_bit() {
    compare(&[ViewSpec {
        flip_prob: 1.0,
        ..plain(50, [0.1, 1.0])
    }]);
}

#[test]
fn centre_crops_equal_torchvision_to_the_bit() {
    let centred = |resize_short, size| ViewSpec {
        crop: Crop::Center { resize_short },
        ..plain(size, [1.0, 1.0])
    };
    compare(&[centred(64, 56), centred(33, 32), centred(256, 224)]);
}

#[test]
fn each_colour_operation_alone_equals_torchvision_to_the_bit() {
    let only = |brightness, contrast, saturation, hue| ViewSpec {
        jitter: Jitter {
            prob: 1.0,
            brightness,
            contrast,
            saturation,
            hue,
        },
        ..plain(41, [0.1, 1.0])
    };
    compare(&[
        only(0.9, 0.0, 0.0, 0.0),
        only(0.0, 0.9, 0.0, 0.0),
        only(0.0, 0.0, 0.9, 0.0),
        only(0.0, 0.0, 0.0, 0.5),
        only(8.0, 8.0, 8.0, 0.5),
    ]);
}

#[test]
fn grey_equals_torchvision_to_the_bit() {
    compare(&[ViewSpec {
        grey_prob: 1.0,
        ..plain(53, [0.1, 1.0])
    }]);
}

#[test]
fn blurs_equal_pillow_to_the_bit() {
    let blurred = |size, low, high| ViewSpec {
        blur: Blur {
            prob: 1.0,
            radius: [low, high],
        },
        ..plain(size, [0.1, 1.0])
    };
    compare(&[
        blurred(64, 0.1, 2.0),
        blurred(3, 0.1, 2.0),
        blurred(1, 1.0, 2.0),
        blurred(45, 2.0, 20.0),
        blurred(5, 10.0, 64.0),
        blurred(20, 0.0, 0.0),
    ]);
}

#[test]
fn solarised_views_equal_pillow_to_the_bit() {
    compare(&[ViewSpec {
        solarize_prob: 1.0,
        ..plain(53, [0.1, 1.0])
    }]);
}

#[test]
fn whole_views_equal_pillow_and_torchvision_to_the_bit() {
    let whole = |size, scale, hue| ViewSpec {
        flip_prob: 0.5,
        jitter: Jitter {
            prob: 0.8,
            brightness: 0.4,
            contrast: 0.4,
            saturation: 0.2,
            hue,
        },
        grey_prob: 0.2,
        blur: Blur {
            prob: 0.5,
            radius: [0.1, 2.0],
        },
        solarize_prob: 0.2,
        ..plain(size, scale)
    };
    compare(&[
        whole(224, [0.3, 1.0], 0.1),
        whole(128, [0.05, 0.3], 0.1),
        whole(96, [0.05, 0.14], 0.2),
    ]);
}

/// A random crop and nothing else.
fn plain(size: u32, scale: [f32; 2]) -> ViewSpec {
    ViewSpec {
        size,
        crop: Crop::RandomResized {
            scale,
            ratio: [0.75, 4.0 / 3.0],
        },
        flip_prob: 0.0,
        jitter: Jitter::NONE,
        grey_prob: 0.0,
        blur: Blur::NONE,
        solarize_prob: 0.0,
    }
}

/// Draws views of every image for every spec and holds each against the reference.
fn compare(specs: &[ViewSpec]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let images = images();
    let mut requests = Vec::new();
    let mut views = Vec::new();
    for (index, image) in images.iter().enumerate() {
        let pixels = folder.path().join(format!("image-{index}"));
        std::fs::write(&pixels, image.pixels()).expect("the image is written");
        for (view, spec) in specs.iter().enumerate() {
            for sample in 0..NUM_DRAWS {
                let key = ViewKey {
                    seed: 7,
                    epoch: index as u32,
                    sample,
                    view: view as u16,
                };
                let params = draw(key, spec, image.width(), image.height());
                let out = folder.path().join(format!("view-{}", views.len()));
                requests.push(request(image, &pixels, &params, spec.size, &out).to_string());
                views.push((image, params, spec.size, out));
            }
        }
    }
    run_reference("views.py", None, &requests.join("\n"));
    let mut augmenter = CpuAugmenter::new();
    for (image, params, size, out) in views {
        let mut ours = vec![0; (size * size * 3) as usize];
        augmenter.apply(image, &params, size, &mut ours);
        let theirs = std::fs::read(out).expect("the reference wrote the view");
        assert_same(&ours, &theirs, &params);
    }
}

fn assert_same(ours: &[u8], theirs: &[u8], params: &ViewParams) {
    assert_eq!(ours.len(), theirs.len());
    let differ = ours
        .iter()
        .zip(theirs)
        .filter(|(ours, theirs)| ours != theirs);
    let worst = differ
        .clone()
        .map(|(ours, theirs)| ours.abs_diff(*theirs))
        .max()
        .unwrap_or(0);
    let num = differ.count();
    assert_eq!(
        num,
        0,
        "{num} of {} bytes differ, by {worst} at most: {params:?}",
        ours.len()
    );
}

fn request(image: &RgbImage, pixels: &Path, params: &ViewParams, size: u32, out: &Path) -> Value {
    let crop = params.crop;
    let jitter = params.jitter.map(|jitter| {
        json!({
            "order": jitter.order.map(name),
            "brightness": f64::from(jitter.brightness),
            "contrast": f64::from(jitter.contrast),
            "saturation": f64::from(jitter.saturation),
            "hue": jitter.hue.map(f64::from),
        })
    });
    json!({
        "pixels": pixels, "width": image.width(), "height": image.height(),
        "crop": [crop.left, crop.top, crop.width, crop.height],
        "resized": params.resized, "window": params.window, "size": size,
        "flip": params.flip, "jitter": jitter, "grey": params.grey,
        "blur": params.blur.map(f64::from), "solarize": params.solarize, "out": out,
    })
}

fn name(op: JitterOp) -> &'static str {
    match op {
        JitterOp::Brightness => "brightness",
        JitterOp::Contrast => "contrast",
        JitterOp::Saturation => "saturation",
        JitterOp::Hue => "hue",
    }
}

/// Noise, waves, a grey and a nearly black image; large, tiny and of extreme aspect.
fn images() -> Vec<RgbImage> {
    let noise = |x: u32, y: u32, c: u32| {
        (x * 7919 + y * 104_729 + c * 1_299_709).wrapping_mul(2_654_435_761) >> 24
    };
    let waves = |x: u32, y: u32, c: u32| {
        let phase = f64::from(x) / f64::from(9 + 8 * c) + f64::from(y) / f64::from(31 - 9 * c);
        (127.5 + 127.5 * phase.sin()) as u32
    };
    vec![
        image(500, 375, noise),
        image(333, 512, waves),
        image(120, 1900, waves),
        image(1, 1, noise),
        image(3, 2, noise),
        image(1, 250, noise),
        image(700, 3, waves),
        image(90, 80, |x, y, _| noise(x, y, 0)),
        image(64, 64, |x, y, c| noise(x, y, c) % 4),
    ]
}

fn image(width: u32, height: u32, value: impl Fn(u32, u32, u32) -> u32) -> RgbImage {
    let value = &value;
    let row = |y| (0..width).flat_map(move |x| (0..3).map(move |c| value(x, y, c) as u8));
    RgbImage::from_pixels(width, height, (0..height).flat_map(row).collect())
}
