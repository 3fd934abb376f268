//! libjpeg-turbo behind a safe type; the C side is `libjpeg.c`. This is the one room of the crate with unsafe code.
//!
//! Knows files in memory, frames and rows; colours and Pillow's rules are `jpeg`'s affair.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int};
use std::ptr::NonNull;

// Its build script makes the library that `libjpeg.c` calls.
use turbojpeg_sys as _;

/// Most scans of a file; more are refused while they are read.
const MAX_SCANS: c_int = 500;

/// What the frame header says. The layout is that of `struct frame`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Frame {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) num_components: u32,
    pub(crate) bits: u32,
}

/// Why there are no rows.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The data end too early.
    Ended,
    /// The library's own words.
    Refused(String),
}

/// A decompressor, reused from file to file.
#[derive(Debug)]
pub(crate) struct LibJpeg {
    handle: NonNull<Handle>,
}

/// A file whose frame header has been read.
#[derive(Debug)]
pub(crate) struct Begun<'d> {
    decoder: &'d mut LibJpeg,
    pub(crate) frame: Frame,
}

#[repr(C)]
#[derive(Debug)]
struct Handle {
    _opaque: [u8; 0],
}

// `enum status` of libjpeg.c.
const DONE: c_int = 0;
const ENDED: c_int = 1;

unsafe extern "C" {
    fn image_decode_jpeg_new(max_scans: c_int) -> *mut Handle;
    fn image_decode_jpeg_free(decoder: *mut Handle);
    fn image_decode_jpeg_message(decoder: *const Handle) -> *const c_char;
    fn image_decode_jpeg_begin(
        decoder: *mut Handle,
        bytes: *const u8,
        num_bytes: usize,
        frame: *mut Frame,
    ) -> c_int;
    fn image_decode_jpeg_rows(
        decoder: *mut Handle,
        num_channels: c_int,
        pixels: *mut u8,
        num_bytes: usize,
        is_damaged: *mut c_int,
    ) -> c_int;
}

// SAFETY: the C struct has no tie to the thread that made it, and `&mut self` keeps two threads from using it at once.
unsafe impl Send for LibJpeg {}

impl LibJpeg {
    /// # Panics
    /// If there is no memory for the library's state (some kilobytes).
    pub(crate) fn new() -> Self {
        // SAFETY: the function takes any number and gives an owned struct or null.
        let handle = unsafe { image_decode_jpeg_new(MAX_SCANS) };
        let handle = NonNull::new(handle).expect("memory for the state of libjpeg-turbo");
        Self { handle }
    }

    /// Reads the frame header of `bytes`, which stay borrowed until the rows are read.
    pub(crate) fn begin<'d>(&'d mut self, bytes: &'d [u8]) -> Result<Begun<'d>, Failure> {
        let mut frame = Frame::default();
        // SAFETY: the handle is live (made in `new`, freed in `drop`); the pointers hold for the call, and `Begun` borrows `bytes` for
        // as long as the C side may read on.
        let status = unsafe {
            image_decode_jpeg_begin(
                self.handle.as_ptr(),
                bytes.as_ptr(),
                bytes.len(),
                &raw mut frame,
            )
        };
        self.check(status)?;
        Ok(Begun {
            decoder: self,
            frame,
        })
    }

    fn check(&self, status: c_int) -> Result<(), Failure> {
        match status {
            DONE => Ok(()),
            ENDED => Err(Failure::Ended),
            _ => Err(Failure::Refused(self.message())),
        }
    }

    fn message(&self) -> String {
        // SAFETY: the handle is live, and the C side ends its message with a zero byte.
        let message = unsafe { CStr::from_ptr(image_decode_jpeg_message(self.handle.as_ptr())) };
        message.to_string_lossy().into_owned()
    }
}

impl Drop for LibJpeg {
    fn drop(&mut self) {
        // SAFETY: the handle was made in `new` and is freed once, here.
        unsafe { image_decode_jpeg_free(self.handle.as_ptr()) }
    }
}

impl Begun<'_> {
    /// Fills `pixels` with all rows of `num_channels` bytes a pixel (1 grey, 3 RGB, 4 CMYK); `true` if the file is damaged.
    pub(crate) fn rows(self, num_channels: u8, pixels: &mut [u8]) -> Result<bool, Failure> {
        let mut is_damaged = 0;
        // SAFETY: the handle is live and its file is still borrowed by `self`; the C side compares the room at `pixels` with its rows
        // before it writes any.
        let status = unsafe {
            image_decode_jpeg_rows(
                self.decoder.handle.as_ptr(),
                num_channels.into(),
                pixels.as_mut_ptr(),
                pixels.len(),
                &raw mut is_damaged,
            )
        };
        self.decoder.check(status)?;
        Ok(is_damaged != 0)
    }
}
