//! The memory that nvJPEG works with: a lane's share of it, counted with what the card has given.
//!
//! It is taken of the driver at once and not in a stream's order, since nvJPEG does not say on which stream it will be used; it is taken seldom, and kept.
//! The driver takes it back once the card has done everything: a thread of its own waits for that, so that nobody else does.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::{io, ptr, thread};

use crossbeam::channel::{Receiver, Sender, unbounded};
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
    given_back: Sender<Piece>,
}

/// Memory that was taken.
#[derive(Debug, Clone, Copy)]
struct Piece {
    kind: Memory,
    address: usize,
    num_bytes: usize,
}

/// What is held, by address, and the sums.
#[derive(Debug, Default)]
struct Held {
    pieces: BTreeMap<usize, Piece>,
    device: usize,
    pinned: usize,
}

impl NvjpegMemory {
    /// Memory of which a lane may have `room`.
    ///
    /// # Errors
    /// That there is no thread to give it back.
    pub(super) fn of(card: &Card, room: NvjpegRoom) -> io::Result<NvjpegMemory> {
        let (context, counter) = (Arc::clone(card.context()), Arc::clone(card.taken()));
        let (given_back, pieces) = unbounded();
        let (of_thread, its_counter) = (Arc::clone(&context), Arc::clone(&counter));
        let named = thread::Builder::new().name("nvjpeg-memory".into());
        named.spawn(move || give_to_driver(&of_thread, &its_counter, &pieces))?;
        Ok(NvjpegMemory {
            context,
            counter,
            room,
            held: Mutex::default(),
            given_back,
        })
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
}

/// Gives pieces back once the card has done what might use them; keeps those of a card that fails.
fn give_to_driver(context: &Arc<CudaContext>, counter: &AtomicU64, pieces: &Receiver<Piece>) {
    for piece in pieces {
        if context.synchronize().is_err() {
            continue;
        }
        // SAFETY: taken of the driver in this context, which the wait has made the thread's, and given back once by whoever used it.
        let given = unsafe {
            match piece.kind {
                Memory::Device => result::free_sync(piece.address as u64),
                Memory::Pinned => {
                    result::free_host(ptr::with_exposed_provenance_mut(piece.address))
                }
            }
        };
        if given.is_ok() && piece.kind == Memory::Device {
            counter.fetch_sub(piece.num_bytes as u64, Ordering::Relaxed);
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
        let piece = Piece {
            kind,
            address,
            num_bytes,
        };
        held.pieces.insert(address, piece);
        if kind == Memory::Device {
            self.counter.fetch_add(num_bytes as u64, Ordering::Relaxed);
        }
        NonNull::new(ptr::with_exposed_provenance_mut(address))
    }

    fn room(&self, kind: Memory) -> usize {
        self.room.of(kind)
    }

    fn give_back(&self, kind: Memory, memory: NonNull<c_void>, _stream: *mut c_void) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(piece) = held.pieces.remove(&memory.addr().get()) {
            *held.of(kind) -= piece.num_bytes;
            self.given_back
                .send(piece)
                .expect("its thread lives as long as this");
        }
    }
}
