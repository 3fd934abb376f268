//! Crop and bicubic resize, equal to the bit to Pillow's `crop` + `resize(BICUBIC)`.
//!
//! Pillow filters along one axis into bytes, then along the other, with sums of 22-bit weights rounded and clipped
//! (`Resample.c`). Both passes here are the same arithmetic on many lanes: the pass along rows works on 16 rows turned into columns.
//! A mirrored view costs nothing: its columns are written from right to left.

use multiversion::multiversion;

use super::transpose::{GROUP, TILE_ROWS, columns_to_rows, rows_to_columns};
use crate::augment::params::{Rect, ViewParams};
use crate::augment::taps::{Taps, WEIGHT_BITS};
use image_decode::RgbImage;

/// Bytes that the pass along columns sums at a time.
const LANES: usize = 64;
/// A pixel of 16 rows.
const PIXEL_LANES: usize = 3 * TILE_ROWS;
const HALF: i32 = 1 << (WEIGHT_BITS - 1);

/// The resizer's scratch, kept from view to view.
#[derive(Debug, Default)]
pub(super) struct Resizer {
    horizontal: Taps,
    vertical: Taps,
    intermediate: Vec<u8>,
    tile_in: Vec<[u8; TILE_ROWS]>,
    tile_out: Vec<[u8; TILE_ROWS]>,
}

/// Rows of bytes at a fixed distance: a part of an image.
#[derive(Debug, Clone, Copy)]
struct Rows<'a> {
    bytes: &'a [u8],
    stride: usize,
    width: usize,
}

impl Resizer {
    /// Writes the crop, resized and mirrored as `params` say, as `size * size * 3` bytes.
    pub(super) fn resize(
        &mut self,
        image: &RgbImage,
        params: &ViewParams,
        size: u32,
        out: &mut [u8],
    ) {
        let ViewParams {
            crop,
            resized: (width, height),
            window: (left, top),
            ..
        } = *params;
        self.horizontal.prepare(crop.width, width, left, size);
        self.vertical.prepare(crop.height, height, top, size);
        let rows = Rows::of_crop(image, crop);
        if params.rows_go_first() {
            self.rows_then_columns(rows, params.flip, size as usize, out);
        } else {
            self.columns_then_rows(rows, params.flip, size as usize, out);
        }
    }

    fn rows_then_columns(&mut self, rows: Rows, flip: bool, size: usize, out: &mut [u8]) {
        let needed = self.vertical.input();
        let intermediate = grown(&mut self.intermediate, needed.len() * size * 3);
        filter_rows(
            rows.skip(needed.start),
            &self.horizontal,
            flip,
            [&mut self.tile_in, &mut self.tile_out],
            intermediate,
        );
        let between = Rows {
            bytes: intermediate,
            stride: size * 3,
            width: size * 3,
        };
        filter_columns(between, needed.start, &self.vertical, out);
    }

    fn columns_then_rows(&mut self, rows: Rows, flip: bool, size: usize, out: &mut [u8]) {
        let intermediate = grown(&mut self.intermediate, size * rows.width);
        filter_columns(rows, 0, &self.vertical, intermediate);
        let between = Rows {
            bytes: intermediate,
            stride: rows.width,
            width: rows.width,
        };
        filter_rows(
            between,
            &self.horizontal,
            flip,
            [&mut self.tile_in, &mut self.tile_out],
            out,
        );
    }
}

impl<'a> Rows<'a> {
    fn of_crop(image: &'a RgbImage, crop: Rect) -> Self {
        let stride = image.width() as usize * 3;
        let start = crop.top as usize * stride + crop.left as usize * 3;
        let width = crop.width as usize * 3;
        let len = (crop.height as usize - 1) * stride + width;
        Self {
            bytes: &image.pixels()[start..][..len],
            stride,
            width,
        }
    }

    fn skip(self, num_rows: usize) -> Self {
        Self {
            bytes: &self.bytes[num_rows * self.stride..],
            ..self
        }
    }

    #[inline(always)]
    fn row(&self, index: usize) -> &'a [u8] {
        &self.bytes[index * self.stride..][..self.width]
    }
}

/// The first `len` bytes of a buffer that grows when it must.
fn grown(buffer: &mut Vec<u8>, len: usize) -> &mut [u8] {
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
    &mut buffer[..len]
}

/// Filters along the rows: one output row of `taps.len()` pixels for each row that `out` has room for.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn filter_rows(
    rows: Rows,
    taps: &Taps,
    flip: bool,
    [tile_in, tile_out]: [&mut Vec<[u8; TILE_ROWS]>; 2],
    out: &mut [u8],
) {
    let stride = taps.len() * 3;
    let num_rows = out.len() / stride;
    tile_in.resize(rows.width.next_multiple_of(GROUP), [0; TILE_ROWS]);
    tile_out.resize(stride.next_multiple_of(GROUP), [0; TILE_ROWS]);
    for (index, out) in out.chunks_mut(TILE_ROWS * stride).enumerate() {
        let row = |lane: usize| rows.row((index * TILE_ROWS + lane).min(num_rows - 1));
        rows_to_columns(&std::array::from_fn(row), tile_in);
        for position in 0..taps.len() {
            let (first, weights) = taps.at(position);
            let target = if flip {
                taps.len() - 1 - position
            } else {
                position
            };
            let mut sums = Sums::<PIXEL_LANES>::new();
            for (tap, &weight) in weights.iter().enumerate() {
                let pixel = &tile_in[(first + tap) * 3..][..3];
                sums.add(pixel.as_flattened(), weight);
            }
            tile_out[target * 3..][..3]
                .as_flattened_mut()
                .copy_from_slice(&sums.clipped());
        }
        columns_to_rows(tile_out, out, stride);
    }
}

/// Filters along the columns: one output row as wide as the input for each position of `taps`, whose inputs are counted from `first_row`.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn filter_columns(rows: Rows, first_row: usize, taps: &Taps, out: &mut [u8]) {
    for (position, out) in out.chunks_exact_mut(rows.width).enumerate() {
        let (first, weights) = taps.at(position);
        let first = first - first_row;
        let mut column = 0;
        while column < rows.width {
            let Some(start) = rows.width.checked_sub(LANES) else {
                sum_narrow(rows, first, weights, out);
                break;
            };
            // The last lanes may be computed twice.
            let start = column.min(start);
            let sums = sum_rows(rows, first, start, weights);
            out[start..][..LANES].copy_from_slice(&sums);
            column += LANES;
        }
    }
}

#[inline(always)]
fn sum_rows(rows: Rows, first: usize, column: usize, weights: &[i32]) -> [u8; LANES] {
    let mut sums = Sums::<LANES>::new();
    for (tap, &weight) in weights.iter().enumerate() {
        sums.add(&rows.row(first + tap)[column..], weight);
    }
    sums.clipped()
}

/// The same for rows of fewer bytes than there are lanes.
fn sum_narrow(rows: Rows, first: usize, weights: &[i32], out: &mut [u8]) {
    for (column, out) in out.iter_mut().enumerate() {
        let mut sums = Sums::<1>::new();
        for (tap, &weight) in weights.iter().enumerate() {
            sums.add(&rows.row(first + tap)[column..], weight);
        }
        [*out] = sums.clipped();
    }
}

/// Weighted sums of bytes in fixed point. A weight counts in two halves of 16 bits, whose products vector units form in one step.
struct Sums<const N: usize> {
    low: [i32; N],
    high: [i32; N],
}

impl<const N: usize> Sums<N> {
    /// Sums of nothing, with the half that rounds them.
    #[inline(always)]
    fn new() -> Self {
        Self {
            low: [HALF; N],
            high: [0; N],
        }
    }

    /// Adds the first `N` bytes, weighted.
    #[inline(always)]
    fn add(&mut self, bytes: &[u8], weight: i32) {
        let low = i32::from(weight as i16);
        let high = weight.wrapping_sub(low) >> 16;
        let bytes = &bytes[..N];
        // By index: with iterators over all three this loop is not vectorised.
        for (lane, &byte) in bytes.iter().enumerate() {
            let byte = i32::from(byte);
            self.low[lane] = self.low[lane].wrapping_add(byte.wrapping_mul(low));
            self.high[lane] = self.high[lane].wrapping_add(byte.wrapping_mul(high));
        }
    }

    /// The sums, rounded and clipped to bytes.
    #[inline(always)]
    fn clipped(&self) -> [u8; N] {
        let mut bytes = [0; N];
        for (lane, byte) in bytes.iter_mut().enumerate() {
            let sum = self.low[lane].wrapping_add(self.high[lane] << 16);
            *byte = (sum >> WEIGHT_BITS).clamp(0, 255) as u8;
        }
        bytes
    }
}
