//! The weights of a bicubic resize along one axis, as Pillow rounds them.
//!
//! Source: Pillow's `Resample.c`: Keys' cubic with a = -0.5, widened by the scale when shrinking, normalised in doubles, then
//! rounded to fixed point. Reading and summing pixels is the business of those who apply views.

use std::ops::Range;

/// Fraction bits of a weight: 32 less 8 for a pixel less 2 for sums outside 0..=1.
pub(super) const WEIGHT_BITS: u32 = 22;

/// For each output position, which input positions count and how much.
#[derive(Debug, Default)]
pub(super) struct Taps {
    spans: Vec<Span>,
    weights: Vec<i32>,
    scratch: Vec<f64>,
}

/// Where the taps of one output position start, in the input and in the weights.
#[derive(Debug, Clone, Copy)]
struct Span {
    first: usize,
    weights: usize,
    num: usize,
}

impl Taps {
    /// Prepares the output positions `start..start + num` of a resize from `in_size` to `out_size` positions.
    pub(super) fn prepare(&mut self, in_size: u32, out_size: u32, start: u32, num: u32) {
        self.spans.clear();
        self.weights.clear();
        let scale = f64::from(in_size) / f64::from(out_size);
        for position in start..start + num {
            let centre = (f64::from(position) + 0.5) * scale;
            self.push(centre, scale.max(1.0), inputs(position, in_size, out_size));
        }
    }

    /// Number of output positions.
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// First input position and weights of an output position.
    pub(super) fn at(&self, position: usize) -> (usize, &[i32]) {
        let span = self.spans[position];
        (span.first, &self.weights[span.weights..][..span.num])
    }

    /// The input positions that any output position needs.
    pub(super) fn input(&self) -> Range<usize> {
        let first = self.spans.first().map_or(0, |span| span.first);
        let last = self.spans.last().map_or(0, |span| span.first + span.num);
        first..last
    }

    fn push(&mut self, centre: f64, filter_scale: f64, inputs: Range<usize>) {
        let inverse_scale = 1.0 / filter_scale;
        self.scratch.clear();
        self.scratch.extend(
            inputs
                .clone()
                .map(|position| bicubic((position as f64 - centre + 0.5) * inverse_scale)),
        );
        let sum: f64 = self.scratch.iter().sum();
        self.spans.push(Span {
            first: inputs.start,
            weights: self.weights.len(),
            num: inputs.len(),
        });
        let normalised = self.scratch.iter().map(|weight| fixed_point(weight / sum));
        self.weights.extend(normalised);
    }
}

/// The input positions that count for an output position of a resize from `in_size` to `out_size` positions.
pub(super) fn inputs(position: u32, in_size: u32, out_size: u32) -> Range<usize> {
    let scale = f64::from(in_size) / f64::from(out_size);
    let centre = (f64::from(position) + 0.5) * scale;
    let support = 2.0 * scale.max(1.0);
    let first = (centre - support + 0.5).max(0.0) as usize;
    first..((centre + support + 0.5) as usize).min(in_size as usize)
}

/// Keys' cubic convolution kernel with a = -0.5.
fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// Rounds half away from zero.
fn fixed_point(weight: f64) -> i32 {
    let scaled = weight * f64::from(1 << WEIGHT_BITS);
    (scaled + 0.5f64.copysign(scaled)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_every_position_sum_to_one_within_rounding() {
        let mut taps = Taps::default();
        for (in_size, out_size) in [(1, 7), (7, 1), (100, 224), (224, 100), (5000, 3), (9, 9)] {
            taps.prepare(in_size, out_size, 0, out_size);
            for position in 0..taps.len() {
                let (first, weights) = taps.at(position);
                let error = weights.iter().sum::<i32>() - (1 << WEIGHT_BITS);
                assert!(error.unsigned_abs() as usize <= weights.len(), "{error}");
                assert!(first + weights.len() <= in_size as usize);
            }
        }
    }

    #[test]
    fn an_unchanged_size_leaves_one_weight() {
        let mut taps = Taps::default();
        taps.prepare(8, 8, 0, 8);
        for position in 0..8 {
            let (first, weights) = taps.at(position);
            let expected: Vec<i32> = (first..first + weights.len())
                .map(|input| i32::from(input == position) << WEIGHT_BITS)
                .collect();
            assert_eq!(weights, expected);
        }
    }
}
