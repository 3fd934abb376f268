//! The descriptors of all views of a batch, the scratch that they share out, and the launches that they take.

use crate::augment::cuda::descriptor::{Axis, View};
use crate::augment::cuda::grid;
use crate::augment::params::ViewParams;
use crate::augment::taps;

/// The kernels in the order in which they run, each once a batch.
pub const KERNELS: [&str; 7] = [
    "make_taps",
    "resize_first",
    "resize_second",
    "sum_grey",
    "colour",
    "blur_rows",
    "blur_columns",
];

/// Pixels that a thread of `sum_grey` takes at once: `RUN` in `views.cu`.
const RUN: u32 = 16;
/// Alignment of everything in the scratch, bytes.
const ALIGN: u64 = 16;

/// A decoded image in device memory: `u8 [height, width, 3]`.
#[derive(Debug, Clone, Copy)]
pub struct DeviceImage {
    /// Address of its first byte.
    pub address: u64,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// One launch: `num_blocks` by [`Table::views`] blocks of [`NUM_THREADS`](grid::NUM_THREADS) threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launch {
    /// Name of the kernel.
    pub kernel: &'static str,
    /// Blocks along x.
    pub num_blocks: u32,
}

/// What the kernels are told of a batch: `kernel(views, scratch)`.
#[derive(Debug, Default)]
pub struct Table {
    views: Vec<View>,
    scratch_bytes: u64,
    /// Of each kernel, the threads for which the largest view has work.
    num_threads: [u32; KERNELS.len()],
}

impl Table {
    /// A table of no views.
    pub fn new() -> Table {
        Table::default()
    }

    /// Forgets all views.
    pub fn clear(&mut self) {
        self.views.clear();
        self.scratch_bytes = 0;
        self.num_threads = Default::default();
    }

    /// Adds a view of `size` x `size` pixels of an image, to be written to the address `out`.
    ///
    /// # Panics
    /// If `params` were not drawn for an image of this size and a view of `size` pixels.
    pub fn push(&mut self, image: DeviceImage, params: &ViewParams, size: u32, out: u64) {
        params.check(image.width, image.height, size);
        let stride = image.width * 3;
        let crop = params.crop;
        let first_byte = u64::from(crop.top) * u64::from(stride) + u64::from(crop.left) * 3;
        let mut view = View {
            crop: image.address + first_byte,
            out,
            stride,
            size,
            flip: params.flip.into(),
            across: self.axis(crop.width, params.resized.0, params.window.0, size),
            down: self.axis(crop.height, params.resized.1, params.window.1, size),
            grey_sum: self.take(4),
            ..View::default()
        };
        self.set_between(&mut view, params);
        view.set_operations(params);
        if view.blurs() {
            view.blurred = self.take(u64::from(size) * u64::from(size) * 3);
        }
        self.count_threads(&view);
        self.views.push(view);
    }

    /// Adds all views of a table that was made as if images lay at address 0: they lie at `image`, and view number `i` is to be written to `out(i)`.
    pub fn append(&mut self, other: &Table, image: u64, out: impl Fn(usize) -> u64) {
        let scratch = self.scratch_bytes;
        let moved = |(index, view): (usize, &View)| view.moved(image, scratch, out(index));
        self.views.extend(other.views.iter().enumerate().map(moved));
        self.scratch_bytes += other.scratch_bytes;
        for (most, num_threads) in self.num_threads.iter_mut().zip(other.num_threads) {
            *most = (*most).max(num_threads);
        }
    }

    /// The descriptors, to be copied to the device.
    pub fn views(&self) -> &[View] {
        &self.views
    }

    /// Scratch that the kernels need; what it holds before does not matter.
    pub fn scratch_bytes(&self) -> u64 {
        self.scratch_bytes
    }

    /// The launches in order; a kernel that has nothing to do is left out.
    pub fn launches(&self) -> impl Iterator<Item = Launch> {
        let launch = |(kernel, num_threads): (&'static str, u32)| Launch {
            kernel,
            num_blocks: grid::num_blocks(num_threads, self.views.len()),
        };
        let all = KERNELS.into_iter().zip(self.num_threads);
        all.filter(|(_, num_threads)| *num_threads > 0).map(launch)
    }

    fn take(&mut self, bytes: u64) -> u64 {
        let offset = self.scratch_bytes;
        self.scratch_bytes = (offset + bytes).next_multiple_of(ALIGN);
        offset
    }

    fn axis(&mut self, in_size: u32, out_size: u32, start: u32, num: u32) -> Axis {
        let positions = start..start + num;
        let most = positions.map(|position| taps::inputs(position, in_size, out_size).len());
        let most = most.max().unwrap_or(0) as u64;
        Axis {
            taps: self.take((2 + most) * u64::from(num) * 4),
            in_size,
            out_size,
            start,
            num,
        }
    }

    /// What lies between the passes: of the crop's rows those that the second pass needs, or all of its columns.
    fn set_between(&mut self, view: &mut View, params: &ViewParams) {
        let Axis {
            in_size,
            out_size,
            start,
            num,
            ..
        } = view.down;
        if params.rows_go_first() {
            let first = taps::inputs(start, in_size, out_size).start as u32;
            let end = taps::inputs(start + num - 1, in_size, out_size).end as u32;
            (view.rows_first, view.first_row) = (1, first);
            (view.between_width, view.between_height) = (view.size, end - first);
        } else {
            (view.between_width, view.between_height) = (view.across.in_size, view.size);
        }
        let num_pixels = u64::from(view.between_width) * u64::from(view.between_height);
        view.between = self.take(num_pixels * 3);
    }

    fn count_threads(&mut self, view: &View) {
        let num_pixels = view.size * view.size;
        let if_so = |needed: bool, num_threads: u32| if needed { num_threads } else { 0 };
        let of_view = [
            view.across.num + view.down.num,
            view.between_width * view.between_height,
            num_pixels,
            if_so(view.needs_mean(), num_pixels.div_ceil(RUN)),
            if_so(view.is_coloured(), num_pixels),
            if_so(view.blurs(), view.size * 3),
            if_so(view.blurs(), view.size * 3),
        ];
        for (most, num_threads) in self.num_threads.iter_mut().zip(of_view) {
            *most = (*most).max(num_threads);
        }
    }
}
