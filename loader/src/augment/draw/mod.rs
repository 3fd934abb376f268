//! What a view will look like, as a pure function of its key.
//!
//! Every decision has a fixed place in a counter-based generator, so none depends on how many numbers another one took. Nothing here sees
//! a pixel.

use loader_ipc::recipe::{self, Blur, Crop, ViewSpec};

use super::params::{Jitter, JitterOp, Rect, ViewParams};
use super::philox::philox;

/// Names one view of one sample in one epoch. Equal keys give equal views.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ViewKey {
    /// Seed of the run.
    pub seed: u64,
    /// Epoch, from 0.
    pub epoch: u32,
    /// Number of the sample in its data set.
    pub sample: u64,
    /// Index of the view in its recipe.
    pub view: u16,
}

/// Places in the generator, one block of four numbers each; the crop's tries take `0..NUM_TRIES`.
const CHANCES: u16 = 16;
const FACTORS: u16 = 17;
const REST: u16 = 18;

/// Tries of a random crop before the centre is taken.
const NUM_TRIES: u16 = 10;

/// Draws the view named by `key` for an image of `width` x `height` pixels, both at least 1.
///
/// Crops follow torchvision's `RandomResizedCrop.get_params` and `Resize` + `CenterCrop`, factors its `ColorJitter.get_params`. The spec is
/// taken as sound (see [`Recipe::violations`](recipe::Recipe::violations)).
pub fn draw(key: ViewKey, spec: &ViewSpec, width: u32, height: u32) -> ViewParams {
    let [flip, jitter, grey, blur] = uniforms(key, CHANCES);
    let [order, radius, solarize, _] = uniforms(key, REST);
    let (crop, resized, window) = draw_crop(key, spec, width, height);
    ViewParams {
        crop,
        resized,
        window,
        flip: happens(flip, spec.flip_prob),
        jitter: happens(jitter, spec.jitter.prob).then(|| draw_jitter(key, order, &spec.jitter)),
        grey: happens(grey, spec.grey_prob),
        blur: happens(blur, spec.blur.prob).then(|| draw_radius(radius, &spec.blur)),
        solarize: happens(solarize, spec.solarize_prob),
    }
}

/// Four numbers uniform in `[0, 1)`, multiples of 2^-32.
fn uniforms(key: ViewKey, place: u16) -> [f64; 4] {
    let counter = [
        key.sample as u32,
        (key.sample >> 32) as u32,
        key.epoch,
        u32::from(key.view) << 16 | u32::from(place),
    ];
    let block = philox(counter, [key.seed as u32, (key.seed >> 32) as u32]);
    block.map(|bits| f64::from(bits) / 2f64.powi(32))
}

fn happens(uniform: f64, probability: f32) -> bool {
    uniform < f64::from(probability)
}

fn between(uniform: f64, low: f64, high: f64) -> f64 {
    low + uniform * (high - low)
}

/// A whole number uniform in `0..=highest`.
fn whole(uniform: f64, highest: u32) -> u32 {
    (uniform * (f64::from(highest) + 1.0)) as u32
}

/// The crop, the size it is resized to, and where the view lies in that.
fn draw_crop(
    key: ViewKey,
    spec: &ViewSpec,
    width: u32,
    height: u32,
) -> (Rect, (u32, u32), (u32, u32)) {
    match spec.crop {
        Crop::RandomResized { scale, ratio } => {
            let crop = (0..NUM_TRIES)
                .find_map(|place| try_crop(uniforms(key, place), scale, ratio, width, height))
                .unwrap_or_else(|| central_crop(ratio, width, height));
            (crop, (spec.size, spec.size), (0, 0))
        }
        Crop::Center { resize_short } => {
            let resized = shrink(resize_short, width, height);
            let whole = Rect {
                left: 0,
                top: 0,
                width,
                height,
            };
            let window = (centre(resized.0, spec.size), centre(resized.1, spec.size));
            (whole, resized, window)
        }
    }
}

/// One try of torchvision's random crop; `None` if it does not fit into the image.
fn try_crop(
    [area, aspect, top, left]: [f64; 4],
    scale: [f32; 2],
    ratio: [f32; 2],
    width: u32,
    height: u32,
) -> Option<Rect> {
    let [low, high] = scale.map(f64::from);
    let area = f64::from(width) * f64::from(height) * between(area, low, high);
    let [low, high] = ratio.map(|ratio| f64::from(ratio).ln());
    let aspect = between(aspect, low, high).exp();
    let crop_width = (area * aspect).sqrt().round_ties_even();
    let crop_height = (area / aspect).sqrt().round_ties_even();
    let fits = |side: f64, limit: u32| 0.0 < side && side <= f64::from(limit);
    (fits(crop_width, width) && fits(crop_height, height)).then(|| Rect {
        left: whole(left, width - crop_width as u32),
        top: whole(top, height - crop_height as u32),
        width: crop_width as u32,
        height: crop_height as u32,
    })
}

/// The whole image, or its middle where it is narrower or wider than any allowed ratio; at least one pixel.
fn central_crop(ratio: [f32; 2], width: u32, height: u32) -> Rect {
    let [narrow, wide] = ratio.map(f64::from);
    let in_ratio = f64::from(width) / f64::from(height);
    let bounded = |side: f64, limit: u32| (side.round_ties_even() as u32).clamp(1, limit);
    let (crop_width, crop_height) = if in_ratio < narrow {
        (width, bounded(f64::from(width) / narrow, height))
    } else if in_ratio > wide {
        (bounded(f64::from(height) * wide, width), height)
    } else {
        (width, height)
    };
    Rect {
        left: (width - crop_width) / 2,
        top: (height - crop_height) / 2,
        width: crop_width,
        height: crop_height,
    }
}

/// torchvision's `Resize(short)`: the long side is rounded down.
fn shrink(short: u32, width: u32, height: u32) -> (u32, u32) {
    let long = |long_side: u32, short_side: u32| {
        (f64::from(short) * f64::from(long_side) / f64::from(short_side)) as u32
    };
    if width <= height {
        (short, long(height, width))
    } else {
        (long(width, height), short)
    }
}

/// torchvision's `CenterCrop` offset: half the margin, ties to even.
fn centre(resized: u32, size: u32) -> u32 {
    (f64::from(resized - size) / 2.0).round_ties_even() as u32
}

fn draw_jitter(key: ViewKey, order: f64, spec: &recipe::Jitter) -> Jitter {
    let [brightness, contrast, saturation, hue] = uniforms(key, FACTORS);
    let factor = |uniform: f64, half_width: f32| {
        let half_width = f64::from(half_width);
        between(uniform, (1.0 - half_width).max(0.0), 1.0 + half_width) as f32
    };
    let half_width = f64::from(spec.hue);
    Jitter {
        order: permutation(whole(order, 23)),
        brightness: factor(brightness, spec.brightness),
        contrast: factor(contrast, spec.contrast),
        saturation: factor(saturation, spec.saturation),
        hue: (spec.hue > 0.0).then(|| between(hue, -half_width, half_width) as f32),
    }
}

/// The permutation of the four operations with the given number in `0..24`.
fn permutation(number: u32) -> [JitterOp; 4] {
    let mut order = [
        JitterOp::Brightness,
        JitterOp::Contrast,
        JitterOp::Saturation,
        JitterOp::Hue,
    ];
    order.swap(0, (number % 4) as usize);
    order.swap(1, 1 + (number / 4 % 3) as usize);
    order.swap(2, 2 + (number / 12 % 2) as usize);
    order
}

fn draw_radius(uniform: f64, blur: &Blur) -> f32 {
    let [low, high] = blur.radius.map(f64::from);
    between(uniform, low, high) as f32
}

#[cfg(test)]
mod tests;
