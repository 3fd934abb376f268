//! A subscription's views in memory of a card: where they lie, and when their slot may be given back.
//!
//! Dropping a batch waits for nothing: it leaves an event on each stream that reads it. Whoever asks for the next batch looks which of them are passed.
#![allow(unsafe_code)]

use std::collections::{BTreeSet, VecDeque};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::{CudaContext, DriverError, result, sys};
use loader_ipc::{ErrorKind, Lease, Reason, Subscriber};

use crate::driver::Bound;
use crate::error::{CardError, failed};
use crate::mapping::ImportedMemory;

/// The memory of a subscription's ring. It outlives all of its leases: whoever holds one holds this.
#[derive(Debug)]
pub(crate) struct CardViews {
    /// There until this is dropped.
    memory: Option<ImportedMemory>,
    /// Batches that streams may still read, the oldest first.
    retired: Mutex<VecDeque<Retired>>,
    /// The process that has mapped it. In one that was forked from it the driver does not work.
    pid: u32,
}

/// A batch whose views lie in memory of a card. Once it is dropped its slot is given back as soon as the streams that read it are done.
#[derive(Debug)]
pub struct CardLease {
    /// There until it is dropped.
    lease: Option<Lease>,
    views: Arc<CardViews>,
    readers: Mutex<Readers>,
}

#[derive(Debug)]
enum Readers {
    /// Nobody has said anything, or that it cannot be told: any stream of the card.
    Unknown,
    /// Streams by their number.
    Streams(BTreeSet<usize>),
}

#[derive(Debug)]
struct Retired {
    /// `None` where any stream may read.
    fences: Option<Vec<Fence>>,
    /// Given back when it is dropped, which is after the fences were passed.
    _lease: Lease,
}

/// The default stream of whichever thread says so.
const OF_THREAD: usize = 2;

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
        let memory = ImportedMemory::new(card, &descriptor, subscriber.layout().card_bytes())?;
        Ok(Some(CardViews {
            memory: Some(memory),
            retired: Mutex::default(),
            pid: std::process::id(),
        }))
    }

    fn is_forked(&self) -> bool {
        self.pid != std::process::id()
    }

    fn memory(&self) -> &ImportedMemory {
        let memory = self.memory.as_ref();
        memory.expect("it is there until this is dropped")
    }

    /// Number of the card in this process, as CUDA counts.
    pub(crate) fn device(&self) -> usize {
        self.memory().context().ordinal()
    }

    /// Gives back what streams are done with, and says whether something is left.
    ///
    /// # Errors
    /// That the card does not tell: what it may still read is never given back.
    pub(crate) fn reclaim(&self) -> Result<bool, Reason> {
        let mut waiting = mem::take(&mut *self.retired());
        if waiting.is_empty() || self.is_forked() {
            mem::forget(waiting);
            return Ok(false);
        }
        let context = self.memory().context();
        let told = Bound::to(context).and_then(|_bound| {
            while let Some(oldest) = waiting.front()
                && oldest.is_read(context)?
            {
                waiting.pop_front();
            }
            Ok(!waiting.is_empty())
        });
        // What was retired meanwhile is younger.
        let mut retired = self.retired();
        waiting.append(&mut retired);
        *retired = waiting;
        told.map_err(|error| {
            let what = "the card does not tell whether a batch was read";
            let remedy = "see the driver's messages (dmesg)";
            Reason::new(ErrorKind::Library, what, error.to_string(), remedy)
        })
    }

    fn retire(&self, lease: Lease, readers: &Readers) {
        let fences = match readers {
            Readers::Unknown => None,
            Readers::Streams(streams) => self.fences(streams).ok(),
        };
        self.retired().push_back(Retired {
            fences,
            _lease: lease,
        });
    }

    fn fences(&self, streams: &BTreeSet<usize>) -> Result<Vec<Fence>, CardError> {
        let context = self.memory().context();
        let _bound = Bound::to(context)?;
        let fence = |stream: &usize| Fence::record(context, *stream);
        streams.iter().map(fence).collect()
    }

    fn retired(&self) -> MutexGuard<'_, VecDeque<Retired>> {
        self.retired.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for CardViews {
    fn drop(&mut self) {
        let retired = mem::take(&mut *self.retired());
        let Some(memory) = self.memory.take() else {
            return;
        };
        if self.is_forked() {
            mem::forget((memory, retired));
            return;
        }
        let bound = Bound::to(memory.context());
        if !retired.is_empty() {
            // A card that does not even answer this has failed: nothing reads any more.
            let _ = memory.context().synchronize();
        }
        // The last that holds the context makes it the thread's once more, so the thread gets its own back after that.
        drop(retired);
        drop(memory);
        drop(bound);
    }
}

impl Retired {
    /// Whether nothing reads it any more. The context is the thread's.
    fn is_read(&self, context: &CudaContext) -> Result<bool, CardError> {
        let passed = match &self.fences {
            Some(fences) => fences
                .iter()
                .try_fold(true, |all, fence| Ok(all && fence.is_passed()?)),
            None => context.synchronize().map(|()| true),
        };
        passed.map_err(failed("waiting for the streams that read a batch"))
    }
}

impl CardLease {
    pub(crate) fn new(lease: Lease, views: &Arc<CardViews>) -> CardLease {
        CardLease {
            lease: Some(lease),
            views: Arc::clone(views),
            readers: Mutex::new(Readers::Unknown),
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

    /// The card's address of view group `group`: `u8 [num_views, batch_size, size, size, 3]`, to be read as long as this lives, and by streams until they are done
    /// ([`CardLease::read_by`]). They are of the card's primary context, as those of all libraries on CUDA's runtime.
    pub fn address(&self, group: usize) -> u64 {
        let offset = self.lease().group(group).card_offset();
        self.views.memory().address() + offset.expect("it lies in memory of a card") as u64
    }

    /// Says that a stream reads the views: a `CUstream` or `cudaStream_t` as a number, or 1 for the default stream. What it is asked to do before this is dropped is done before
    /// the slot is filled anew. Where nobody says so all streams of the card are waited for, and so they are where it is the default stream of a thread (2).
    ///
    /// # Safety
    /// The stream lives until this is dropped.
    pub unsafe fn read_by(&self, stream: usize) {
        let mut readers = self.readers();
        match &mut *readers {
            _ if stream == OF_THREAD => *readers = Readers::Unknown,
            Readers::Streams(streams) => {
                streams.insert(stream);
            }
            Readers::Unknown => *readers = Readers::Streams(BTreeSet::from([stream])),
        }
    }

    /// Says that no stream reads the views yet.
    pub fn read_by_nobody(&self) {
        *self.readers() = Readers::Streams(BTreeSet::new());
    }

    /// Says that nobody knows which streams read the views.
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
            && !self.views.is_forked()
        {
            self.views.retire(lease, &self.readers());
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
        // SAFETY: an event of ours, and a stream that lives, as whoever named it has promised.
        let recorded = unsafe { result::event::record(event, stream) };
        recorded.map_err(failed("recording an event"))?;
        Ok(fence)
    }

    fn is_passed(&self) -> Result<bool, DriverError> {
        // SAFETY: an event of ours.
        match unsafe { result::event::query(self.event) } {
            Err(DriverError(sys::CUresult::CUDA_ERROR_NOT_READY)) => Ok(false),
            asked => asked.map(|()| true),
        }
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        if let Ok(_bound) = Bound::to(&self.context) {
            // SAFETY: an event of ours that is used no more.
            let _ = unsafe { result::event::destroy(self.event) };
        }
    }
}
