//! How long decoding and the views of an image take on one core, stage by stage.
//!
//! Reads every file below the folder that `SSLIGHT_DATA` names, or makes images of its own and says so. Run with
//! `cargo bench -p loader --bench views`; the first argument that is a number is how often to go over the images.

use std::path::Path;
use std::time::{Duration, Instant};

use image_decode::{DEFAULT_PIXEL_LIMIT, Decoder, RgbImage};
use loader::augment::{CpuAugmenter, ViewKey, ViewParams, draw};
use loader_ipc::recipe::{Blur, Crop, Jitter, ViewSpec};

/// Leaves out what a stage does not do.
type Keep = fn(&mut ViewParams);

/// The stages, each with what it keeps of the views' parameters.
const STAGES: [(&str, Keep); 6] = [
    ("crop, resize, flip", |view| {
        (view.jitter, view.grey, view.blur, view.solarize) = (None, false, None, false);
    }),
    (" + jitter without hue", |view| {
        (view.grey, view.blur, view.solarize) = (false, None, false);
        if let Some(jitter) = &mut view.jitter {
            jitter.hue = None;
        }
    }),
    (" + hue", |view| {
        (view.grey, view.blur, view.solarize) = (false, None, false)
    }),
    (" + grey", |view| (view.blur, view.solarize) = (None, false)),
    (" + blur", |view| view.solarize = false),
    (" + solarise: all views", |_| ()),
];

fn main() {
    let files = read_files();
    let rounds = std::env::args()
        .find_map(|word| word.parse().ok())
        .unwrap_or(5);
    let images = decode_all(&files);
    let num_pixels: usize = images.iter().map(|image| image.pixels().len() / 3).sum();
    let mean = num_pixels as f64 / images.len() as f64 / 1e6;
    println!(
        "{} images of {mean:.3} Mpix on average, best of {rounds} rounds, one core",
        images.len()
    );
    println!("{:<26} {:>9} {:>9}", "stage", "ms/image", "images/s");
    let decoding = best_of(rounds, || decode_again(&files));
    report("decode", decoding, images.len());
    let mut views = Duration::ZERO;
    for (name, keep) in STAGES {
        views = best_of(rounds, || make_views(&images, keep));
        report(name, views, images.len());
    }
    report("decode + all views", decoding + views, images.len());
}

/// SSLight's CNN recipe: 2 global views of 224 pixels, 6 local ones of 128.
fn recipe() -> Vec<ViewSpec> {
    let global = |blur, solarize| view(224, [0.3, 1.0], blur, solarize);
    let mut views = vec![global(1.0, 0.0), global(0.1, 0.2)];
    views.extend((0..6).map(|_| view(128, [0.05, 0.3], 0.5, 0.0)));
    views
}

fn view(size: u32, scale: [f32; 2], blur: f32, solarize: f32) -> ViewSpec {
    ViewSpec {
        size,
        crop: Crop::RandomResized {
            scale,
            ratio: [0.75, 4.0 / 3.0],
        },
        flip_prob: 0.5,
        jitter: Jitter {
            prob: 0.8,
            brightness: 0.4,
            contrast: 0.4,
            saturation: 0.2,
            hue: 0.1,
        },
        grey_prob: 0.2,
        blur: Blur {
            prob: blur,
            radius: [0.1, 2.0],
        },
        solarize_prob: solarize,
    }
}

fn make_views(images: &[RgbImage], keep: Keep) {
    let recipe = recipe();
    let mut augmenter = CpuAugmenter::new();
    let mut out = vec![0; 224 * 224 * 3];
    for (sample, image) in images.iter().enumerate() {
        for (view, spec) in recipe.iter().enumerate() {
            let key = ViewKey {
                seed: 0,
                epoch: 0,
                sample: sample as u64,
                view: view as u16,
            };
            let mut params = draw(key, spec, image.width(), image.height());
            keep(&mut params);
            let out = &mut out[..(spec.size * spec.size * 3) as usize];
            augmenter.apply(image, &params, spec.size, out);
            std::hint::black_box(out);
        }
    }
}

fn decode_again(files: &[Vec<u8>]) {
    let mut decoder = Decoder::new(DEFAULT_PIXEL_LIMIT);
    let mut image = RgbImage::new();
    for bytes in files {
        decoder.decode(bytes, &mut image).expect("decoded before");
        std::hint::black_box(image.pixels());
    }
}

fn decode_all(files: &[Vec<u8>]) -> Vec<RgbImage> {
    let mut decoder = Decoder::new(DEFAULT_PIXEL_LIMIT);
    let decode = |bytes: &Vec<u8>| {
        let mut image = RgbImage::new();
        decoder
            .decode(bytes, &mut image)
            .expect("every file of the bench decodes");
        image
    };
    files.iter().map(decode).collect()
}

fn read_files() -> Vec<Vec<u8>> {
    let Some(folder) = std::env::var_os("SSLIGHT_DATA") else {
        println!("SSLIGHT_DATA is not set: 20 generated images of 500 x 375 pixels");
        return (0..20).map(generated).collect();
    };
    let mut files = Vec::new();
    gather(Path::new(&folder), &mut files);
    assert!(
        !files.is_empty(),
        "no files below {}",
        Path::new(&folder).display()
    );
    files
}

fn gather(folder: &Path, files: &mut Vec<Vec<u8>>) {
    for entry in std::fs::read_dir(folder).expect("the folder can be listed") {
        let path = entry.expect("the folder can be listed").path();
        if path.is_dir() {
            gather(&path, files);
        } else {
            files.push(std::fs::read(&path).expect("the file can be read"));
        }
    }
}

/// A JPEG of waves of several lengths, so that it is neither flat nor noise.
fn generated(seed: u32) -> Vec<u8> {
    let picture = image::RgbImage::from_fn(500, 375, |x, y| {
        let wave = |step: u32| {
            let phase = f64::from(x * (seed % 7 + step)) / 40.0 + f64::from(y * step) / 25.0;
            (128.0 + 100.0 * phase.sin()) as u8 ^ (x * y / 97) as u8 & 15
        };
        image::Rgb([wave(1), wave(2), wave(5)])
    });
    turbojpeg_of(&picture)
}

fn turbojpeg_of(picture: &image::RgbImage) -> Vec<u8> {
    let image = turbojpeg::Image {
        pixels: picture.as_raw().as_slice(),
        width: picture.width() as usize,
        pitch: picture.width() as usize * 3,
        height: picture.height() as usize,
        format: turbojpeg::PixelFormat::RGB,
    };
    turbojpeg::compress(image, 90, turbojpeg::Subsamp::Sub2x2)
        .expect("a picture compresses")
        .to_vec()
}

fn best_of(rounds: usize, mut work: impl FnMut()) -> Duration {
    let timed = |_| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..rounds).map(timed).min().unwrap_or_default()
}

fn report(name: &str, time: Duration, num_images: usize) {
    let seconds = time.as_secs_f64() / num_images as f64;
    println!("{name:<26} {:>9.3} {:>9.0}", seconds * 1e3, 1.0 / seconds);
}
