//! Colour jitter, grey and solarise, equal to the bit to Pillow's `ImageEnhance`, `convert("L")` and `ImageOps.solarize`.
//!
//! Only contrast needs to have seen the whole view (for its mean grey), so the operations run in at most two sweeps. A sweep takes
//! [`LANES`] pixels into separate channels, applies all its operations to them while they are in cache, and puts them back.

use multiversion::multiversion;

use super::hue;
use super::pixels::{LANES, Lane, Pixels};
use crate::augment::params::{Jitter, JitterOp, ViewParams};

/// An operation on a pixel that depends on nothing but the pixel.
#[derive(Debug, Clone, Copy, PartialEq)]
enum PixelOp {
    /// Blend with one grey value (brightness: 0, contrast: the mean grey).
    BlendWith { grey: u8, factor: f32 },
    /// Blend with the pixel's own grey.
    Saturate { factor: f32 },
    /// Shift of the 8-bit hue, modulo 256.
    ShiftHue { by: u8 },
    /// Grey in all channels.
    Grey,
}

/// The operations of one sweep; four of the jitter and grey at most.
#[derive(Debug, Default)]
struct Sweep {
    ops: [Option<PixelOp>; 5],
    len: usize,
}

/// Applies the jitter and grey of `params` to a view in place.
pub(super) fn apply(view: &mut [u8], params: &ViewParams) {
    let mut sweep = Sweep::default();
    if let Some(jitter) = &params.jitter {
        for op in jitter.order {
            sweep.add_jitter(op, jitter, view);
        }
    }
    if params.grey {
        sweep.push(PixelOp::Grey);
    }
    sweep.run(view);
}

/// Inverts every value of 128 or more.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub(super) fn solarize(view: &mut [u8]) {
    for value in view {
        *value = (*value).min(255 - *value);
    }
}

impl Sweep {
    fn push(&mut self, op: PixelOp) {
        self.ops[self.len] = Some(op);
        self.len += 1;
    }

    /// Contrast first runs what came before it, because it needs the mean of the outcome.
    fn add_jitter(&mut self, op: JitterOp, jitter: &Jitter, view: &mut [u8]) {
        match op {
            JitterOp::Brightness => self.push(PixelOp::BlendWith {
                grey: 0,
                factor: jitter.brightness,
            }),
            JitterOp::Contrast => {
                let grey = self.run_for_mean(view);
                let factor = jitter.contrast;
                self.push(PixelOp::BlendWith { grey, factor });
            }
            JitterOp::Saturation => self.push(PixelOp::Saturate {
                factor: jitter.saturation,
            }),
            JitterOp::Hue => {
                if let Some(by) = jitter.hue_shift() {
                    self.push(PixelOp::ShiftHue { by });
                }
            }
        }
    }

    /// Applies what has been gathered, and forgets it.
    fn run(&mut self, view: &mut [u8]) {
        if self.len > 0 {
            sweep::<false>(view, &self.ops[..self.len]);
        }
        *self = Self::default();
    }

    /// The same, and the mean of the grey values after it: Pillow's `int(mean + 0.5)`.
    fn run_for_mean(&mut self, view: &mut [u8]) -> u8 {
        let sum = sweep::<true>(view, &self.ops[..self.len]);
        *self = Self::default();
        (sum as f64 / (view.len() / 3) as f64 + 0.5) as u8
    }
}

/// Applies the operations to every pixel; gives the sum of the grey values if `SUM` asks for it.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn sweep<const SUM: bool>(view: &mut [u8], ops: &[Option<PixelOp>]) -> u64 {
    let (chunks, rest) = view.as_chunks_mut();
    let mut sum = 0;
    for chunk in chunks {
        let grey = apply_all(chunk, ops);
        if SUM {
            sum += u64::from(total(&grey));
        }
    }
    let mut last = [0; LANES * 3];
    last[..rest.len()].copy_from_slice(rest);
    let grey = apply_all(&mut last, ops);
    rest.copy_from_slice(&last[..rest.len()]);
    sum + u64::from(total(&grey[..rest.len() / 3]))
}

/// Applies the operations to a chunk; gives its grey values after them.
#[inline(always)]
fn apply_all(chunk: &mut [u8; LANES * 3], ops: &[Option<PixelOp>]) -> Lane {
    let mut pixels = Pixels::split(chunk);
    for &op in ops.iter().flatten() {
        op.apply(&mut pixels);
    }
    if !ops.is_empty() {
        *chunk = pixels.join();
    }
    pixels.grey()
}

#[inline(always)]
fn total(grey: &[u8]) -> u32 {
    grey.iter()
        .fold(0, |sum: u32, &grey| sum.wrapping_add(u32::from(grey)))
}

impl PixelOp {
    #[inline(always)]
    fn apply(self, pixels: &mut Pixels) {
        match self {
            PixelOp::BlendWith { grey, factor } => pixels.blend(&[grey; LANES], factor),
            PixelOp::Saturate { factor } => pixels.blend(&pixels.grey(), factor),
            PixelOp::ShiftHue { by } => hue::rotate(pixels, by),
            PixelOp::Grey => {
                let grey = pixels.grey();
                *pixels = Pixels {
                    red: grey,
                    green: grey,
                    blue: grey,
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solarising_inverts_from_128_on() {
        let mut values: Vec<u8> = (0..=255).collect();
        solarize(&mut values);
        for (value, &out) in values.iter().enumerate() {
            let expected = if value < 128 { value } else { 255 - value };
            assert_eq!(usize::from(out), expected);
        }
    }
}
