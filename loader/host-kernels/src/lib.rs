//! The loader's CUDA kernels (`views.cu` and `planes.cu`), compiled for the host and run thread by thread: what they compute can be tested where
//! there is no card. It knows nothing of descriptors. For tests alone: it says nothing about speed.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_uint, c_void};

type Kernel = unsafe extern "C" fn(*const c_void, *mut u8);

unsafe extern "C" {
    fn make_taps(views: *const c_void, scratch: *mut u8);
    fn resize_first(views: *const c_void, scratch: *mut u8);
    fn resize_second(views: *const c_void, scratch: *mut u8);
    fn sum_grey(views: *const c_void, scratch: *mut u8);
    fn colour(views: *const c_void, scratch: *mut u8);
    fn blur_rows(views: *const c_void, scratch: *mut u8);
    fn blur_columns(views: *const c_void, scratch: *mut u8);
    fn rgb_of_planes(images: *const c_void, unused: *mut u8);
    fn run_threads(
        kernel: Kernel,
        num_blocks: c_uint,
        num_threads: c_uint,
        num_views: c_uint,
        views: *const c_void,
        scratch: *mut u8,
        backward: c_int,
    );
}

/// The names of all kernels.
pub const NAMES: [&str; 8] = [
    "make_taps",
    "resize_first",
    "resize_second",
    "sum_grey",
    "colour",
    "blur_rows",
    "blur_columns",
    "rgb_of_planes",
];

/// A launch: which kernel, and how many threads of it.
#[derive(Debug, Clone, Copy)]
pub struct Launch {
    /// Name of the kernel.
    pub kernel: &'static str,
    /// Blocks for each view or image.
    pub num_blocks: u32,
    /// Threads in a block.
    pub num_threads: u32,
    /// Views or images.
    pub num_views: u32,
    /// Whether the last thread runs first.
    pub backward: bool,
}

/// Runs every thread of a launch.
///
/// # Safety
/// `views` points to as many descriptors as the launch says, in the kernels' own layout; the addresses in them and `scratch` are those of memory that is
/// as large as they say and that nobody else touches meanwhile.
///
/// # Panics
/// If there is no kernel of that name.
pub unsafe fn run(launch: Launch, views: *const c_void, scratch: *mut u8) {
    let kernel = kernel(launch.kernel);
    // SAFETY: upheld by the caller, as said above.
    unsafe {
        run_threads(
            kernel,
            launch.num_blocks,
            launch.num_threads,
            launch.num_views,
            views,
            scratch,
            launch.backward.into(),
        );
    }
}

fn kernel(name: &str) -> Kernel {
    match name {
        "make_taps" => make_taps,
        "resize_first" => resize_first,
        "resize_second" => resize_second,
        "sum_grey" => sum_grey,
        "colour" => colour,
        "blur_rows" => blur_rows,
        "blur_columns" => blur_columns,
        "rgb_of_planes" => rgb_of_planes,
        _ => panic!("no kernel is called {name}"),
    }
}
