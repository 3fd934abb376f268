//! Memory that Python reads: a slot of the ring, or a copy. It is there as long as somebody holds it, so no reader is ever left with a dangling
//! pointer, whatever order Python drops things in.
//!
//! One of the two rooms of this crate with unsafe code.

use std::mem::ManuallyDrop;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use loader_ipc::Lease;

/// A batch in the ring. The slot goes back when this is dropped, unless that happens in a forked child, whose parent still reads it.
#[derive(Debug)]
pub(crate) struct Held {
    lease: ManuallyDrop<Lease>,
    pid: u32,
}

/// Who may look into a batch: nobody any more once it was taken back.
#[derive(Debug)]
pub(crate) struct Slot(Mutex<Option<Arc<Held>>>);

/// What an array reads.
#[derive(Debug, Clone)]
pub(crate) enum Memory {
    /// One group of views of a batch in the ring: read-only.
    Ring(Arc<Held>, usize),
    /// Memory of our own, which Python may write.
    Own(Arc<[AtomicU64]>),
}

impl Held {
    pub(crate) fn new(lease: Lease) -> Held {
        let lease = ManuallyDrop::new(lease);
        let pid = std::process::id();
        Held { lease, pid }
    }

    pub(crate) fn lease(&self) -> &Lease {
        &self.lease
    }
}

impl Drop for Held {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        if self.pid == std::process::id() {
            // SAFETY: dropped here alone, and `self` is gone afterwards.
            unsafe { ManuallyDrop::drop(&mut self.lease) };
        }
    }
}

impl Slot {
    pub(crate) fn new(held: Arc<Held>) -> Slot {
        Slot(Mutex::new(Some(held)))
    }

    /// `None` once the batch is past.
    pub(crate) fn held(&self) -> Option<Arc<Held>> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.clone()
    }

    /// Ends the batch; what somebody still reads stays until he is done.
    pub(crate) fn end(&self) -> Option<Arc<Held>> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.take()
    }
}

impl Memory {
    /// A copy of these numbers.
    pub(crate) fn of(numbers: impl Iterator<Item = u64>) -> Memory {
        Memory::Own(numbers.map(AtomicU64::new).collect())
    }

    /// A copy, its bytes where they are here.
    #[allow(unsafe_code)]
    pub(crate) fn copied(&self) -> Memory {
        let num_bytes = self.num_bytes();
        let copy: Arc<[AtomicU64]> = (0..num_bytes.div_ceil(8))
            .map(|_| AtomicU64::new(0))
            .collect();
        let to = copy.as_ptr().cast_mut().cast::<u8>();
        // SAFETY: both are valid for `num_bytes`: the source as long as `self` holds its slot (a sound daemon leaves it alone meanwhile, and every
        // byte is a valid one), the destination as the atomics of `copy`, which nobody else knows yet. They do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(self.ptr(), to, num_bytes) };
        Memory::Own(copy)
    }

    pub(crate) fn ptr(&self) -> *mut u8 {
        match self {
            Memory::Ring(held, group) => held.lease.group(*group).as_ptr().cast_mut(),
            Memory::Own(words) => words.as_ptr().cast_mut().cast(),
        }
    }

    pub(crate) fn is_read_only(&self) -> bool {
        matches!(self, Memory::Ring(..))
    }

    fn num_bytes(&self) -> usize {
        match self {
            Memory::Ring(held, group) => held.lease.group(*group).len(),
            Memory::Own(words) => 8 * words.len(),
        }
    }
}
