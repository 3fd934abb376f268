//! Pillow's `GaussianBlur`: three extended box blurs along the rows, then three along the columns, each rounded to bytes.
//!
//! Source: Pillow's `BoxBlur.c`, whose 24-bit fixed point this repeats. The edge pixels go on outside the view.

use multiversion::multiversion;

use crate::augment::extended_box::{ExtendedBox, NUM_PASSES};

/// The blur's scratch, kept from view to view.
#[derive(Debug, Default)]
pub(super) struct Blurrer {
    view: Vec<u8>,
    row: [Vec<u8>; 2],
    sums: Vec<u32>,
}

impl Blurrer {
    /// Blurs a view of `size * size` pixels in place by a Gaussian of standard deviation `radius` pixels.
    pub(super) fn blur(&mut self, view: &mut [u8], size: usize, radius: f32) {
        let kernel = ExtendedBox::of_gaussian(radius);
        if kernel.is_one_pixel() {
            return;
        }
        self.view.resize(view.len(), 0);
        blur_rows(view, size, kernel, &mut self.row);
        let (mut from, mut to) = (&mut *view, &mut self.view[..]);
        for _ in 0..NUM_PASSES {
            blur_columns(from, to, size * 3, kernel, &mut self.sums);
            std::mem::swap(&mut from, &mut to);
        }
        let (blurred, rest) = (from, to);
        rest.copy_from_slice(blurred);
    }
}

/// Blurs every row thrice.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn blur_rows(view: &mut [u8], size: usize, kernel: ExtendedBox, scratch: &mut [Vec<u8>; 2]) {
    let margin = (kernel.radius + 1) * 3;
    let [from, to] = scratch;
    from.resize(size * 3 + 2 * margin, 0);
    to.resize(size * 3 + 2 * margin, 0);
    for row in view.chunks_exact_mut(size * 3) {
        from[margin..][..size * 3].copy_from_slice(row);
        for _ in 0..NUM_PASSES {
            extend_edges(from, margin);
            let out = &mut to[margin..][..size * 3];
            match kernel.radius {
                0 => blur_row::<0>(from, out, kernel),
                1 => blur_row::<1>(from, out, kernel),
                _ => blur_row_by_sliding(from, out, kernel),
            }
            std::mem::swap(from, to);
        }
        row.copy_from_slice(&from[margin..][..size * 3]);
    }
}

/// Repeats the first and the last pixel over the margins.
#[inline(always)]
fn extend_edges(row: &mut [u8], margin: usize) {
    let end = row.len() - margin;
    for at in (0..margin).step_by(3) {
        row.copy_within(margin..margin + 3, at);
        row.copy_within(end - 3..end, end + at);
    }
}

/// One pass along a row with margins; `RADIUS` is the kernel's.
#[inline(always)]
fn blur_row<const RADIUS: usize>(row: &[u8], out: &mut [u8], kernel: ExtendedBox) {
    let len = out.len();
    let shifted = |by: usize| &row[by * 3..][..len];
    let (left, right) = (shifted(0), shifted(2 * RADIUS + 2));
    let inner: [&[u8]; 3] = std::array::from_fn(|at| shifted((at + 1).min(2 * RADIUS + 1)));
    for at in 0..len {
        let mut inside = 0u16;
        for &inner in &inner[..2 * RADIUS + 1] {
            inside += u16::from(inner[at]);
        }
        out[at] = kernel.weigh(inside.into(), u32::from(left[at]) + u32::from(right[at]));
    }
}

/// One pass along a row with margins, by moving the box from pixel to pixel.
fn blur_row_by_sliding(row: &[u8], out: &mut [u8], kernel: ExtendedBox) {
    let span = (2 * kernel.radius + 1) * 3;
    for channel in 0..3 {
        let first = (0..span).step_by(3);
        let mut inside: u32 = first.map(|at| u32::from(row[channel + at])).sum();
        for at in (channel..out.len()).step_by(3) {
            let entering = u32::from(row[at + span]);
            inside = inside + entering - u32::from(row[at]);
            let outside = u32::from(row[at]) + u32::from(row[at + span + 3]);
            out[at] = kernel.weigh(inside, outside);
        }
    }
}

/// One pass along the columns of rows of `stride` bytes.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn blur_columns(
    from: &[u8],
    to: &mut [u8],
    stride: usize,
    kernel: ExtendedBox,
    sums: &mut Vec<u32>,
) {
    match kernel.radius {
        0 => blur_columns_of::<0>(from, to, stride, kernel),
        1 => blur_columns_of::<1>(from, to, stride, kernel),
        _ => blur_columns_by_sliding(from, to, stride, kernel, sums),
    }
}

#[inline(always)]
fn blur_columns_of<const RADIUS: usize>(
    from: &[u8],
    to: &mut [u8],
    stride: usize,
    kernel: ExtendedBox,
) {
    for (y, out) in to.chunks_exact_mut(stride).enumerate() {
        let row = |offset: usize| row_at(from, stride, (y + offset).saturating_sub(RADIUS + 1));
        let (above, below) = (row(0), row(2 * RADIUS + 2));
        let inner: [&[u8]; 3] = std::array::from_fn(|at| row((at + 1).min(2 * RADIUS + 1)));
        for at in 0..stride {
            let mut inside = 0u16;
            for &inner in &inner[..2 * RADIUS + 1] {
                inside += u16::from(inner[at]);
            }
            out[at] = kernel.weigh(inside.into(), u32::from(above[at]) + u32::from(below[at]));
        }
    }
}

#[inline(always)]
fn blur_columns_by_sliding(
    from: &[u8],
    to: &mut [u8],
    stride: usize,
    kernel: ExtendedBox,
    sums: &mut Vec<u32>,
) {
    let radius = kernel.radius;
    sums.clear();
    sums.resize(stride, 0);
    // The sums of the box around row -1.
    for offset in 0..2 * radius + 1 {
        let row = row_at(from, stride, offset.saturating_sub(radius + 1));
        add(sums, row);
    }
    for (y, out) in to.chunks_exact_mut(stride).enumerate() {
        let above = row_at(from, stride, y.saturating_sub(radius + 1));
        let entering = row_at(from, stride, y + radius);
        let below = row_at(from, stride, y + radius + 1);
        for at in 0..stride {
            sums[at] = sums[at]
                .wrapping_add(u32::from(entering[at]))
                .wrapping_sub(u32::from(above[at]));
            out[at] = kernel.weigh(sums[at], u32::from(above[at]) + u32::from(below[at]));
        }
    }
}

#[inline(always)]
fn add(sums: &mut [u32], row: &[u8]) {
    for (sum, &byte) in sums.iter_mut().zip(row) {
        *sum = sum.wrapping_add(u32::from(byte));
    }
}

/// The row of that index, the last one beyond the end.
#[inline(always)]
fn row_at(view: &[u8], stride: usize, index: usize) -> &[u8] {
    let index = index.min(view.len() / stride - 1);
    &view[index * stride..][..stride]
}
