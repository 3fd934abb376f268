//! Memory that Python reads: a slot of the ring, or a copy. It is there as long as somebody holds it, so no reader is ever left with a dangling
//! pointer, whatever order Python drops things in.
//!
//! One of the two rooms of this crate with unsafe code.

use std::ptr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use loader_card::Held;

/// Kind and number of a device, as DLPack counts.
pub(crate) type Device = (i32, i32);

/// Main memory.
pub(crate) const CPU: Device = (1, 0);
/// The kind of NVIDIA's cards.
const CUDA: i32 = 2;

/// Who may look into a batch: nobody any more once it was taken back.
#[derive(Debug)]
pub(crate) struct Slot(Mutex<Option<Arc<Held>>>);

/// What an array reads.
#[derive(Debug, Clone)]
pub(crate) enum Memory {
    /// One group of views of a batch in the ring: read-only on the host.
    Ring(Arc<Held>, usize),
    /// Memory of our own, which Python may write.
    Own(Arc<[AtomicU64]>),
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

    /// A copy, its bytes where they are here. Only of what lies in memory of the host.
    #[allow(unsafe_code)]
    pub(crate) fn copied(&self) -> Memory {
        let num_bytes = self.num_bytes();
        let copy: Arc<[AtomicU64]> = (0..num_bytes.div_ceil(8))
            .map(|_| AtomicU64::new(0))
            .collect();
        let to = copy.as_ptr().cast_mut().cast::<u8>();
        // SAFETY: both are valid for `num_bytes`: the source as long as `self` holds its slot (a sound daemon leaves it alone meanwhile, and every
        // byte is a valid one), the destination as the atomics of `copy`, which nobody else knows yet. They do not overlap.
        unsafe { ptr::copy_nonoverlapping(self.ptr(), to, num_bytes) };
        Memory::Own(copy)
    }

    pub(crate) fn ptr(&self) -> *mut u8 {
        match self {
            Memory::Ring(held, group) => match &**held {
                Held::Host(lease) => lease.group(*group).as_ptr().cast_mut(),
                Held::Card(batch) => {
                    ptr::with_exposed_provenance_mut(batch.address(*group) as usize)
                }
            },
            Memory::Own(words) => words.as_ptr().cast_mut().cast(),
        }
    }

    pub(crate) fn is_read_only(&self) -> bool {
        matches!(self, Memory::Ring(..))
    }

    /// Where it lies, as DLPack says it.
    pub(crate) fn device(&self) -> Device {
        match self {
            Memory::Ring(held, _) => match &**held {
                Held::Host(_) => CPU,
                Held::Card(batch) => (CUDA, batch.device() as i32),
            },
            Memory::Own(_) => CPU,
        }
    }

    /// Says that a stream of the card reads it until it is dropped, by the number that DLPack has for streams; `None` is any stream.
    #[allow(unsafe_code)]
    pub(crate) fn read_by(&self, stream: Option<usize>) {
        if let Memory::Ring(held, _) = self
            && let Held::Card(batch) = &**held
        {
            match stream {
                // SAFETY: who takes an array for a stream keeps that as long as the array, as the package's page says.
                Some(stream) => unsafe { batch.read_by(stream) },
                None => batch.read_by_unknown(),
            }
        }
    }

    fn num_bytes(&self) -> usize {
        match self {
            Memory::Ring(held, group) => held.lease().group(*group).len(),
            Memory::Own(words) => 8 * words.len(),
        }
    }
}
