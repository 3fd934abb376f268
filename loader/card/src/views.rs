//! A subscription's views in memory of a card: where they lie, and when their slot may be given back.
#![allow(unsafe_code)]

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::{CudaContext, result, sys};
use loader_ipc::{Lease, Reason, Subscriber};

use crate::driver::Restored;
use crate::error::{CardError, failed};
use crate::mapping::ImportedMemory;

/// The memory of a subscription's ring. It outlives all of its leases: whoever holds one holds this.
#[derive(Debug)]
pub(crate) struct CardViews {
    memory: ImportedMemory,
    /// Leases that streams may still read, the oldest first.
    retired: Mutex<VecDeque<Retired>>,
    most_retired: usize,
    /// The process that has mapped it. In one that was forked from it the driver does not work.
    pid: u32,
}

/// A batch whose views lie in memory of a card. When it is dropped its slot is given back behind the streams that read it.
#[derive(Debug)]
pub struct CardLease {
    /// There until it is dropped.
    lease: Option<Lease>,
    views: Arc<CardViews>,
    readers: Mutex<Readers>,
}

#[derive(Debug)]
enum Readers {
    /// Streams by their number.
    Streams(BTreeSet<usize>),
    /// Any stream of the card.
    Unknown,
}

#[derive(Debug)]
struct Retired {
    fences: Vec<Fence>,
    /// Given back when it is dropped, which is after the fences were passed.
    _lease: Lease,
}

/// An event on a stream.
#[derive(Debug)]
struct Fence {
    context: Arc<CudaContext>,
    event: sys::CUevent,
}

// SAFETY: the driver's events may be used by any thread.
unsafe impl Send for Fence {}

impl CardViews {
    /// Maps the ring of a subscription; `None` where its views lie in memory of the host.
    ///
    /// # Errors
    /// Why this process cannot map it. It can subscribe again, for views in memory of the host.
    pub(crate) fn open(subscriber: &mut Subscriber) -> Result<Option<CardViews>, Reason> {
        let Some((card, descriptor)) = subscriber.take_card_memory() else {
            return Ok(None);
        };
        let layout = subscriber.layout();
        let memory = ImportedMemory::new(card, &descriptor, layout.card_bytes())?;
        Ok(Some(CardViews {
            memory,
            retired: Mutex::default(),
            // One is received and one is filled.
            most_retired: layout.num_slots.saturating_sub(2),
            pid: std::process::id(),
        }))
    }

    /// Number of the card in this process, as CUDA counts.
    pub(crate) fn device(&self) -> usize {
        self.memory.context().ordinal()
    }

    /// Gives a lease back once its readers have done what was put onto their streams so far. Waits only if else no slot would be left to be filled.
    fn retire(&self, lease: Lease, readers: &Readers) {
        let fences = match self.fences(readers) {
            Some(Ok(fences)) => fences,
            None | Some(Err(_)) => {
                self.wait_for_everything();
                Vec::new()
            }
        };
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        retired.push_back(Retired {
            fences,
            _lease: lease,
        });
        while retired.len() > self.most_retired {
            let oldest = retired.pop_front().expect("there are some");
            self.wait(&oldest);
        }
    }

    /// Gives back what streams are done with; to be called before a batch is waited for.
    pub(crate) fn reclaim(&self) {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        let is_done = |retired: &Retired| retired.fences.iter().all(Fence::is_passed);
        while retired.front().is_some_and(is_done) {
            retired.pop_front();
        }
    }

    /// `None` where nobody knows which streams read.
    fn fences(&self, readers: &Readers) -> Option<Result<Vec<Fence>, CardError>> {
        let Readers::Streams(streams) = readers else {
            return None;
        };
        let context = self.memory.context();
        let record = || -> Result<Vec<Fence>, CardError> {
            let _restored = Restored::after_binding(context)?;
            let fence = |stream: &usize| Fence::record(context, *stream);
            streams.iter().map(fence).collect()
        };
        Some(record())
    }

    fn wait(&self, retired: &Retired) {
        if !retired.fences.iter().all(Fence::wait) {
            self.wait_for_everything();
        }
    }

    /// A driver that does not even answer this has failed: nothing reads any more.
    fn wait_for_everything(&self) {
        let context = self.memory.context();
        if let Ok(_restored) = Restored::after_binding(context) {
            let _ = context.synchronize();
        }
    }
}

impl Drop for CardViews {
    fn drop(&mut self) {
        if self.pid != std::process::id() {
            return;
        }
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(oldest) = retired.pop_front() {
            self.wait(&oldest);
        }
    }
}

impl CardLease {
    pub(crate) fn new(lease: Lease, views: &Arc<CardViews>) -> CardLease {
        CardLease {
            lease: Some(lease),
            views: Arc::clone(views),
            readers: Mutex::new(Readers::Streams(BTreeSet::new())),
        }
    }

    /// Labels, ids and shapes.
    pub fn lease(&self) -> &Lease {
        self.lease
            .as_ref()
            .expect("it is there until this is dropped")
    }

    /// Number of the card in this process, as CUDA counts.
    pub fn device(&self) -> usize {
        self.views.device()
    }

    /// The card's address of view group `group`: `u8 [num_views, batch_size, size, size, 3]`, to be read as long as this lives.
    pub fn address(&self, group: usize) -> u64 {
        let offset = self.lease().group(group).card_offset();
        self.views.memory.address() + offset.expect("it lies in memory of a card") as u64
    }

    /// Says that a stream reads the views: a `CUstream` or `cudaStream_t` as a number, or 1 for the default stream, 2 for that of the thread. What it is asked to do before
    /// this is dropped is done before the slot is filled anew.
    pub fn read_by(&self, stream: usize) {
        if let Readers::Streams(streams) = &mut *self.readers() {
            streams.insert(stream);
        }
    }

    /// Says that nobody knows which streams read the views: all of the card are waited for when this is dropped.
    pub fn read_by_unknown(&self) {
        *self.readers() = Readers::Unknown;
    }

    fn readers(&self) -> MutexGuard<'_, Readers> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for CardLease {
    fn drop(&mut self) {
        // A forked process gives nothing back, as with any lease.
        if let Some(lease) = self.lease.take()
            && self.views.pid == std::process::id()
        {
            let readers = self.readers();
            self.views.retire(lease, &readers);
        }
    }
}

impl Fence {
    /// Records what is on the stream by now. The context is the thread's.
    fn record(context: &Arc<CudaContext>, stream: usize) -> Result<Fence, CardError> {
        let event = result::event::create(sys::CUevent_flags::CU_EVENT_DISABLE_TIMING);
        let event = event.map_err(failed("making an event"))?;
        let context = Arc::clone(context);
        let fence = Fence { context, event };
        let stream = std::ptr::with_exposed_provenance_mut::<sys::CUstream_st>(stream);
        // SAFETY: an event of ours; the driver checks the stream, which whoever reads the views names.
        let recorded = unsafe { result::event::record(event, stream) };
        recorded.map_err(failed("recording an event"))?;
        Ok(fence)
    }

    fn is_passed(&self) -> bool {
        // SAFETY: an event of ours.
        unsafe { result::event::query(self.event) }.is_ok()
    }

    /// `false` where the driver does not say.
    fn wait(&self) -> bool {
        // SAFETY: as above.
        unsafe { result::event::synchronize(self.event) }.is_ok()
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        if let Ok(_restored) = Restored::after_binding(&self.context) {
            // SAFETY: an event of ours that is used no more.
            let _ = unsafe { result::event::destroy(self.event) };
        }
    }
}
