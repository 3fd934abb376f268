//! How long decoding and the views of an image take on one core, stage by stage.
//!
//! Reads every file below the folder that `SSLIGHT_DATA` names, or makes images of its own and says so. Run with
//! `cargo bench -p loader --bench views -- [ROUNDS] [--save FILE.json]`; `scripts/tables` makes the README's table of what is saved.

use std::path::Path;
use std::time::{Duration, Instant};

use image_decode::{DEFAULT_PIXEL_LIMIT, Decoder, RgbImage};
use loader::augment::{CpuAugmenter, ViewKey, ViewParams, draw};
use loader_ipc::Recipe;
use serde_json::json;

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
    let words: Vec<String> = std::env::args().collect();
    let rounds = words.iter().find_map(|word| word.parse().ok()).unwrap_or(5);
    let images = decode_all(&files);
    let mean = mean_mpix(&images);
    println!(
        "{} images of {mean:.3} Mpix on average, median of {rounds} rounds, one core",
        images.len()
    );
    println!("{:<26} {:>9} {:>9}", "stage", "ms/image", "images/s");
    let per_image = |rounds: Duration| rounds.as_secs_f64() * 1e3 / images.len() as f64;
    let mut rows = vec![(
        "decode",
        per_image(median_of(rounds, || decode_again(&files))),
    )];
    report(rows[0]);
    for (name, keep) in STAGES {
        rows.push((
            name,
            per_image(median_of(rounds, || make_views(&images, keep))),
        ));
        report(rows[rows.len() - 1]);
    }
    rows.push(("decode + all views", rows[0].1 + rows[rows.len() - 1].1));
    report(rows[rows.len() - 1]);
    if let Some(at) = words.iter().position(|word| word == "--save") {
        let file = words.get(at + 1).expect("--save FILE");
        let result = json!({
            "machine": machine(),
            "columns": ["one core", "ms per image"],
            "rows": rows.iter().map(|(name, ms)| json!([name.trim(), format!("{ms:.2}")])).collect::<Vec<_>>(),
            "what": format!("{} images of {mean:.2} Mpix on average, median of {rounds} rounds", images.len()),
        });
        std::fs::write(file, format!("{result:#}\n")).expect("the result can be written");
    }
}

/// The processor and the number of cores that this process may use.
fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown processor", |line| {
        line.trim_start_matches(['\t', ' ', ':'])
    });
    format!("{model}, {} cores", loader::config::num_cpus())
}

fn mean_mpix(images: &[RgbImage]) -> f64 {
    let num_pixels: usize = images.iter().map(|image| image.pixels().len() / 3).sum();
    num_pixels as f64 / images.len() as f64 / 1e6
}

fn make_views(images: &[RgbImage], keep: Keep) {
    let recipe = Recipe::sslight();
    let mut augmenter = CpuAugmenter::new();
    let mut out = vec![0; 224 * 224 * 3];
    for (sample, image) in images.iter().enumerate() {
        for (view, spec) in recipe.views.iter().enumerate() {
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

fn median_of(rounds: usize, mut work: impl FnMut()) -> Duration {
    let timed = |_| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    let mut times: Vec<Duration> = (0..rounds).map(timed).collect();
    times.sort_unstable();
    times[rounds / 2]
}

fn report((name, ms): (&str, f64)) {
    println!("{name:<26} {ms:>9.3} {:>9.0}", 1e3 / ms);
}
