//! What C sees: plain structures and numbers.
//!
//! One of the rooms of this crate with unsafe code.

use std::ffi::c_char;

/// Version of these functions and structures; `sslight_connect` compares it with that of the library.
pub const SSLIGHT_ABI_VERSION: u32 = 2;

/// Bytes of an error's text, the closing zero included.
pub const SSLIGHT_ERROR_BYTES: usize = 1024;

/// DLPack's number for main memory (`kDLCPU`).
pub const SSLIGHT_DEVICE_CPU: i32 = 1;

/// DLPack's number for memory of an NVIDIA card (`kDLCUDA`).
pub const SSLIGHT_DEVICE_CUDA: i32 = 2;

/// A loader, a stream or a batch. No handle is ever 0, and none is used again for something else.
pub type SslightHandle = u64;

/// How a call went. The numbers from 2 to 6 are the exit codes of the project's programs.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslightStatus {
    /// Done.
    Ok = 0,
    /// Something was asked for that makes no sense, or not here.
    Usage = 2,
    /// The data are at fault.
    Data = 3,
    /// The machine lacks memory, descriptors, threads or permission.
    Resources = 4,
    /// The library is at fault.
    Library = 5,
    /// The loader is gone, silent, or not what it should be. Connect anew, and subscribe from the last batch's `next_epoch` and `next_step`.
    PeerLost = 6,
    /// The stream has delivered its last batch.
    End = 10,
    /// No batch came in time although the loader lives. The stream goes on.
    TimedOut = 11,
}

/// Why a call failed: what happened; where; what to do. UTF-8, closed by a zero; empty after a call that succeeded.
#[repr(C)]
pub struct SslightError {
    /// The sentence. What is longer is cut.
    pub text: [c_char; SSLIGHT_ERROR_BYTES],
}

/// All views of one size: `uint8 [num_views, batch_size, height, width, 3]`, without gaps, last index fastest, red first.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct SslightViews {
    /// The pixels, memory that is shared with the loader and only to be read; NULL in a stream's description. On a card, the card's address.
    pub data: *const u8,
    /// Number of views, of samples, of lines, of pixels in a line, and 3.
    pub shape: [i64; 5],
    /// Where the pixels lie, in DLPack's words: `SSLIGHT_DEVICE_CPU`, or `SSLIGHT_DEVICE_CUDA` if a card was asked for and can be had.
    pub device_type: i32,
    /// Number of the device, as CUDA counts in this process; 0 for main memory.
    pub device_id: i32,
}

/// What a stream will deliver. Its pointers are good until the stream is released.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct SslightStreamInfo {
    /// Process id of the loader.
    pub loader_pid: i32,
    /// Samples in a batch.
    pub batch_size: u32,
    /// Batches that fit into shared memory: those that are held and those that are made ahead.
    pub num_slots: u32,
    /// Samples of an epoch, those left out at its end included.
    pub num_samples: u64,
    /// How many of them have no label.
    pub num_unlabelled: u64,
    /// Batches per epoch.
    pub steps_per_epoch: u64,
    /// Batches of the whole stream.
    pub num_batches: u64,
    /// Number of classes.
    pub num_classes: usize,
    /// Names of the classes, by label.
    pub classes: *const *const c_char,
    /// Number of arrays of views in each batch, one for each run of views of one size.
    pub num_groups: usize,
    /// Their shapes.
    pub views: *const SslightViews,
    /// Why the views lie in main memory although a card was asked for; else NULL.
    pub not_on_card: *const c_char,
}

/// A batch. Its pointers are good until it is released, whatever becomes of its stream.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct SslightBatch {
    /// What to release once the batch is no longer needed. Each batch holds one slot of its stream.
    pub handle: SslightHandle,
    /// Epoch, from 0.
    pub epoch: u64,
    /// Step within the epoch, from 0.
    pub step: u64,
    /// Where a stream goes on after this batch: its `start_epoch`.
    pub next_epoch: u64,
    /// And its `start_step`.
    pub next_step: u64,
    /// Samples of this batch. They are the first of every array; what follows is padding.
    pub num_valid: usize,
    /// `[batch_size]`, positions in the stream's classes; -1 where there is none.
    pub labels: *const i64,
    /// `[batch_size]`, numbers of the samples in their split.
    pub ids: *const u64,
    /// Number of arrays of views.
    pub num_groups: usize,
    /// The arrays.
    pub views: *const SslightViews,
}

/// Structures that point to what their keeper owns as well.
#[derive(Debug)]
pub(crate) struct Pointing<T>(pub(crate) Vec<T>);

// SAFETY: this crate hands such pointers to C and follows none of them, so to it they are numbers.
#[allow(unsafe_code)]
unsafe impl<T> Send for Pointing<T> {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl<T> Sync for Pointing<T> {}
