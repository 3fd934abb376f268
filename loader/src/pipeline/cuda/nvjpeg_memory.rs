//! The memory that nvJPEG works with: a lane's share of it, counted with what the card has given.
//!
//! It is taken of the driver at once and not in a stream's order, since nvJPEG does not say on which stream it will be used; it is taken seldom, and kept.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::{CudaContext, DriverError, result};
use nvjpeg::{Allocator, Memory};

use crate::pipeline::cuda::card::Card;

/// Most bytes of each kind that a lane's nvJPEG may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct NvjpegRoom {
    pub(super) device: usize,
    pub(super) pinned: usize,
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct NvjpegMemory {
    context: Arc<CudaContext>,
    /// Counts what is taken of the card.
    counter: Arc<AtomicU64>,
    room: NvjpegRoom,
    held: Mutex<Held>,
}

/// What is held, by address, and the sums.
#[derive(Debug, Default)]
struct Held {
    pieces: BTreeMap<usize, usize>,
    device: usize,
    pinned: usize,
}

impl NvjpegMemory {
    pub(super) fn of(card: &Card, room: NvjpegRoom) -> NvjpegMemory {
        NvjpegMemory {
            context: Arc::clone(card.context()),
            counter: Arc::clone(card.taken()),
            room,
            held: Mutex::default(),
        }
    }

    fn take_of_driver(&self, kind: Memory, num_bytes: usize) -> Result<usize, DriverError> {
        self.context.bind_to_thread()?;
        // SAFETY: the card's context is this thread's.
        unsafe {
            match kind {
                Memory::Device => Ok(result::malloc_sync(num_bytes)? as usize),
                Memory::Pinned => Ok(result::malloc_host(num_bytes, 0)?.expose_provenance()),
            }
        }
    }

    /// Once `stream` has done what may use it.
    fn give_to_driver(
        &self,
        kind: Memory,
        address: usize,
        stream: *mut c_void,
    ) -> Result<(), DriverError> {
        self.context.bind_to_thread()?;
        // SAFETY: the stream is the lane's, which lives; the memory was taken of the driver, and nobody uses it any more.
        unsafe {
            if !stream.is_null() {
                result::stream::synchronize(stream.cast())?;
            }
            match kind {
                Memory::Device => result::free_sync(address as u64),
                Memory::Pinned => result::free_host(std::ptr::with_exposed_provenance_mut(address)),
            }
        }
    }
}

impl Held {
    fn of(&mut self, kind: Memory) -> &mut usize {
        match kind {
            Memory::Device => &mut self.device,
            Memory::Pinned => &mut self.pinned,
        }
    }
}

impl NvjpegRoom {
    fn of(self, kind: Memory) -> usize {
        match kind {
            Memory::Device => self.device,
            Memory::Pinned => self.pinned,
        }
    }
}

impl Allocator for NvjpegMemory {
    fn take(&self, kind: Memory, num_bytes: usize) -> Option<NonNull<c_void>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if num_bytes > self.room.of(kind).saturating_sub(*held.of(kind)) {
            return None;
        }
        let address = self.take_of_driver(kind, num_bytes).ok()?;
        *held.of(kind) += num_bytes;
        held.pieces.insert(address, num_bytes);
        if kind == Memory::Device {
            self.counter.fetch_add(num_bytes as u64, Ordering::Relaxed);
        }
        NonNull::new(std::ptr::with_exposed_provenance_mut(address))
    }

    fn room(&self, kind: Memory) -> usize {
        self.room.of(kind)
    }

    fn give_back(&self, kind: Memory, memory: NonNull<c_void>, stream: *mut c_void) {
        let address = memory.addr().get();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(num_bytes) = held.pieces.remove(&address) else {
            return;
        };
        *held.of(kind) -= num_bytes;
        if kind == Memory::Device {
            self.counter.fetch_sub(num_bytes as u64, Ordering::Relaxed);
        }
        let given = self.give_to_driver(kind, address, stream);
        self.context.record_err(given);
    }
}
