//! Random crops distributed like those of torchvision's `RandomResizedCrop.get_params`.

use loader::augment::{Rect, ViewKey, draw};
use loader_ipc::recipe::{Blur, Crop, Jitter, ViewSpec};

use crate::run_reference;

const NUM_CROPS: usize = 20_000;
const SCALE: [f32; 2] = [0.05, 0.8];
const RATIO: [f32; 2] = [0.75, 4.0 / 3.0];
/// Widths and heights; some leave room for few crops.
const SIZES: [(u32, u32); 4] = [(500, 375), (96, 700), (400, 30), (37, 29)];

#[test]
fn crops_are_distributed_like_those_of_torchvision() {
    for (width, height) in SIZES {
        let ours = our_crops(width, height);
        let theirs = their_crops(width, height);
        for (name, measure) in measures() {
            let values = |crops: &[Rect]| -> Vec<f64> {
                crops
                    .iter()
                    .map(|crop| measure(crop, width, height))
                    .collect()
            };
            let distance = largest_gap(values(&ours), values(&theirs));
            // Kolmogorov and Smirnov's bound for one case in 1000 of two equal distributions.
            let allowed = 1.95 * (2.0 / NUM_CROPS as f64).sqrt();
            assert!(
                distance < allowed,
                "{name} of {width} x {height}: {distance} > {allowed}"
            );
        }
    }
}

type Measure = fn(&Rect, u32, u32) -> f64;

fn measures() -> [(&'static str, Measure); 4] {
    [
        ("area", |crop, _, _| f64::from(crop.width * crop.height)),
        ("ratio", |crop, _, _| {
            f64::from(crop.width) / f64::from(crop.height)
        }),
        ("left", |crop, width, _| {
            f64::from(crop.left) / f64::from(width - crop.width + 1)
        }),
        ("top", |crop, _, height| {
            f64::from(crop.top) / f64::from(height - crop.height + 1)
        }),
    ]
}

fn our_crops(width: u32, height: u32) -> Vec<Rect> {
    let spec = ViewSpec {
        size: 8,
        crop: Crop::RandomResized {
            scale: SCALE,
            ratio: RATIO,
        },
        flip_prob: 0.0,
        jitter: Jitter::NONE,
        grey_prob: 0.0,
        blur: Blur::NONE,
        solarize_prob: 0.0,
    };
    let crop = |sample| {
        let key = ViewKey {
            seed: 11,
            epoch: 0,
            sample,
            view: 0,
        };
        draw(key, &spec, width, height).crop
    };
    (0..NUM_CROPS as u64).map(crop).collect()
}

fn their_crops(width: u32, height: u32) -> Vec<Rect> {
    let request = serde_json::json!({
        "width": width, "height": height, "scale": SCALE, "ratio": RATIO, "num": NUM_CROPS, "seed": 5,
    });
    let printed = run_reference("crops.py", None, &request.to_string());
    let crops: Vec<[u32; 4]> = serde_json::from_str(&printed).expect("a list of crops");
    let rect = |[left, top, width, height]: [u32; 4]| Rect {
        left,
        top,
        width,
        height,
    };
    crops.into_iter().map(rect).collect()
}

/// The largest difference of two empirical distribution functions.
fn largest_gap(mut ours: Vec<f64>, mut theirs: Vec<f64>) -> f64 {
    ours.sort_by(f64::total_cmp);
    theirs.sort_by(f64::total_cmp);
    let share = |values: &[f64], limit: f64| {
        values.partition_point(|&value| value <= limit) as f64 / values.len() as f64
    };
    let gap = |&limit: &f64| (share(&ours, limit) - share(&theirs, limit)).abs();
    ours.iter().chain(&theirs).map(gap).fold(0.0, f64::max)
}
