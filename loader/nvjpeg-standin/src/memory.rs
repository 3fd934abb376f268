//! Memory by the allocators that a handle was made with, as the library takes it: the stand-in has none of its own.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::status::{ALLOCATOR_FAILURE, INVALID_PARAMETER};
use crate::stream::Stream;

/// What buffers hold is written over with this when they are destroyed or done with.
pub(crate) const RUBBISH: u8 = 0xee;

type Take = unsafe extern "C" fn(*mut c_void, *mut *mut c_void, usize, Stream) -> c_int;
type GiveBack = unsafe extern "C" fn(*mut c_void, *mut c_void, usize, Stream) -> c_int;

/// `nvjpegDevAllocatorV2_t` and `nvjpegPinnedAllocatorV2_t`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allocator {
    take: Option<Take>,
    give_back: Option<GiveBack>,
    context: *mut c_void,
}

// SAFETY: NVIDIA asks that an allocator be safe for several threads.
unsafe impl Send for Allocator {}
// SAFETY: likewise.
unsafe impl Sync for Allocator {}

/// What a buffer or a state holds: one piece of memory, or none. Work on a stream uses it, too.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    allocator: Allocator,
    piece: Arc<Mutex<Piece>>,
}

#[derive(Debug)]
struct Piece {
    address: *mut u8,
    num_bytes: usize,
}

// SAFETY: the memory is the piece's alone.
unsafe impl Send for Piece {}

impl Allocator {
    /// # Safety
    /// `allocator` is null or can be read.
    pub(crate) unsafe fn read(allocator: *const Allocator) -> Result<Allocator, u32> {
        if allocator.is_null() {
            return Err(INVALID_PARAMETER);
        }
        // SAFETY: the caller's promise.
        Ok(unsafe { *allocator })
    }
}

impl Memory {
    /// Holds nothing yet.
    pub(crate) fn of(allocator: Allocator) -> Memory {
        let piece = Arc::new(Mutex::new(Piece::NONE));
        Memory { allocator, piece }
    }

    /// Takes another piece, full of rubbish.
    pub(crate) fn resize(&self, num_bytes: usize, stream: Stream) -> Result<(), u32> {
        self.give_back(stream);
        let take = self.allocator.take.ok_or(INVALID_PARAMETER)?;
        let mut address = ptr::null_mut();
        // SAFETY: the allocator's function, which writes an address.
        let answer = unsafe { take(self.allocator.context, &raw mut address, num_bytes, stream) };
        if answer != 0 || address.is_null() {
            return Err(ALLOCATOR_FAILURE);
        }
        let address = address.cast();
        *locked(&self.piece) = Piece { address, num_bytes };
        self.with(|bytes| bytes.fill(RUBBISH));
        Ok(())
    }

    /// Sees to at least so many bytes.
    pub(crate) fn grow(&self, num_bytes: usize, stream: Stream) -> Result<(), u32> {
        let held = locked(&self.piece).num_bytes;
        match num_bytes > held {
            true => self.resize(num_bytes, stream),
            false => Ok(()),
        }
    }

    /// Gives its memory back, whether or not work is to come that uses it: that work finds none.
    pub(crate) fn give_back(&self, stream: Stream) {
        let piece = std::mem::replace(&mut *locked(&self.piece), Piece::NONE);
        if let (Some(give_back), false) = (self.allocator.give_back, piece.address.is_null()) {
            let (context, address) = (self.allocator.context, piece.address.cast());
            // SAFETY: what the allocator gave, once.
            unsafe { give_back(context, address, piece.num_bytes, stream) };
        }
    }

    /// Looks at what it holds, or at nothing.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut [u8]) -> T) -> T {
        let piece = locked(&self.piece);
        if piece.address.is_null() {
            return look(&mut []);
        }
        // SAFETY: memory of this size that is this piece's alone; the device's is the host's under stand-ins.
        look(unsafe { std::slice::from_raw_parts_mut(piece.address, piece.num_bytes) })
    }
}

impl Piece {
    const NONE: Piece = Piece {
        address: ptr::null_mut(),
        num_bytes: 0,
    };
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
