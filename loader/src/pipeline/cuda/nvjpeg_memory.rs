//! The memory that nvJPEG works with: a lane's share of it, counted with what the card has given.
//!
//! It is taken of the driver at once and not in a stream's order, since nvJPEG does not say on which stream it will be used; it is taken when something larger comes, and kept while there is enough.
//! The driver takes it back once the card has done everything that it was asked for by then: a thread of its own waits for that, so that nobody else does.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::{io, ptr, thread};

use crossbeam::channel::{Sender, unbounded};
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
    given_back: Option<Sender<Piece>>,
    waiting: Arc<Waiting>,
    thread: Option<JoinHandle<()>>,
}

/// Pieces that wait to be given to the driver.
#[derive(Debug, Default)]
struct Waiting {
    num: Mutex<usize>,
    fewer: Condvar,
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
        let waiting = Arc::<Waiting>::default();
        let of_thread = (context.clone(), counter.clone(), waiting.clone());
        let give = move || {
            let (context, counter, waiting) = of_thread;
            for piece in pieces {
                give_to_driver(&context, &counter, piece);
                waiting.change(|num| num - 1);
            }
        };
        let named = thread::Builder::new().name("nvjpeg-memory".into());
        Ok(NvjpegMemory {
            thread: Some(named.spawn(give)?),
            context,
            counter,
            room,
            held: Mutex::default(),
            given_back: Some(given_back),
            waiting,
        })
    }

    /// Once more after what waits to be given back was, where there is too little.
    fn take_or_wait(&self, kind: Memory, num_bytes: usize) -> Option<usize> {
        let taken = self.take_of_driver(kind, num_bytes).ok();
        taken.or_else(|| match self.waiting.until_none() {
            true => self.take_of_driver(kind, num_bytes).ok(),
            false => None,
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

/// Gives a piece back once the card has done what might use it; keeps it where the card fails or hangs.
fn give_to_driver(context: &Arc<CudaContext>, counter: &AtomicU64, piece: Piece) {
    if loader_card::wait_for_all(context).is_err() {
        return;
    }
    // SAFETY: taken of the driver in this context, which the wait has made the thread's, and given back once by whoever used it.
    let given = unsafe {
        match piece.kind {
            Memory::Device => result::free_sync(piece.address as u64),
            Memory::Pinned => result::free_host(ptr::with_exposed_provenance_mut(piece.address)),
        }
    };
    if given.is_ok() && piece.kind == Memory::Device {
        counter.fetch_sub(piece.num_bytes as u64, Ordering::Relaxed);
    }
}

impl Waiting {
    fn change(&self, change: impl FnOnce(usize) -> usize) {
        let mut num = self.num.lock().unwrap_or_else(PoisonError::into_inner);
        *num = change(*num);
        self.fewer.notify_all();
    }

    /// Waits until nothing waits; `false` where nothing did, or the card hangs.
    fn until_none(&self) -> bool {
        let num = self.num.lock().unwrap_or_else(PoisonError::into_inner);
        if *num == 0 {
            return false;
        }
        let some_wait = |num: &mut usize| *num > 0;
        let waited = self
            .fewer
            .wait_timeout_while(num, loader_card::patience(), some_wait);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl Drop for NvjpegMemory {
    fn drop(&mut self) {
        drop(self.given_back.take());
        let ended = self.thread.take().map(JoinHandle::join);
        // It does nothing that panics.
        debug_assert!(ended.is_none_or(|ended| ended.is_ok()));
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
        let address = self.take_or_wait(kind, num_bytes)?;
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
            self.waiting.change(|num| num + 1);
            let given_back = self.given_back.as_ref().expect("it is taken last");
            given_back
                .send(piece)
                .expect("its thread lives as long as this");
        }
    }
}
