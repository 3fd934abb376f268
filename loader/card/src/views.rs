//! A subscription's views in memory of a card: where they lie, and when their slot may be given back.
//!
//! Dropping a batch waits for nothing: it leaves an event on each stream that reads it. Whoever asks for the next batch looks which of them are passed.
#![allow(unsafe_code)]

use std::collections::{BTreeSet, VecDeque};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cudarc::driver::CudaContext;
use loader_ipc::{ErrorKind, Lease, Reason, Subscriber};

use crate::driver::Bound;
use crate::error::CardError;
use crate::fence::Fence;
use crate::mapping::ImportedMemory;
use crate::patience;

/// How long the end of a subscription waits for streams that read. It may be in a deallocator that holds Python's lock.
const LAST_LOOK: Duration = Duration::from_secs(5);

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
    /// Nobody has said anything: any stream of the card.
    Unsaid,
    /// Somebody has said that it cannot be told: any stream, whoever else says which.
    Unknown,
    /// Streams by their number.
    Streams(BTreeSet<usize>),
}

#[derive(Debug)]
struct Retired {
    /// `None` where they could not be made: then any stream may read.
    fences: Option<Vec<Fence>>,
    /// Given back when it is dropped, which is after the fences were passed.
    _lease: Lease,
}

/// The default stream of whichever thread says so.
const OF_THREAD: usize = 2;

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

    /// Gives back what streams are done with, and says whether something is left. It waits for nothing.
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
        let told = Bound::to(context).and_then(|_bound| drop_read(&mut waiting, context));
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
        let fences = self.fences(readers).ok();
        self.retired().push_back(Retired {
            fences,
            _lease: lease,
        });
    }

    fn fences(&self, readers: &Readers) -> Result<Vec<Fence>, CardError> {
        let context = self.memory().context();
        let _bound = Bound::to(context)?;
        match readers {
            Readers::Unsaid | Readers::Unknown => Ok(vec![Fence::record_all(context)?]),
            Readers::Streams(streams) => {
                let fence = |stream: &usize| Fence::record(context, *stream);
                streams.iter().map(fence).collect()
            }
        }
    }

    fn retired(&self) -> MutexGuard<'_, VecDeque<Retired>> {
        self.retired.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for CardViews {
    fn drop(&mut self) {
        let mut retired = mem::take(&mut *self.retired());
        let Some(memory) = self.memory.take() else {
            return;
        };
        if self.is_forked() {
            mem::forget((memory, retired));
            return;
        }
        let bound = Bound::to(memory.context());
        let is_read = || drop_read(&mut retired, memory.context()).map(|is_left| !is_left);
        // A card that does not even answer has failed: nothing reads any more. What may be read for longer stays as it is.
        if let Ok(false) = patience::wait_at_most(LAST_LOOK, is_read) {
            mem::forget((memory, retired));
            return;
        }
        // The last that holds the context makes it the thread's once more, so the thread gets its own back after that.
        drop(retired);
        drop(memory);
        drop(bound);
    }
}

/// Drops the oldest batches that nothing reads any more, and says whether one is left. The context is the thread's.
fn drop_read(
    retired: &mut VecDeque<Retired>,
    context: &Arc<CudaContext>,
) -> Result<bool, CardError> {
    while let Some(oldest) = retired.front_mut() {
        if !oldest.is_read(context)? {
            return Ok(true);
        }
        retired.pop_front();
    }
    Ok(false)
}

impl Retired {
    /// Whether nothing reads it any more. The context is the thread's.
    fn is_read(&mut self, context: &Arc<CudaContext>) -> Result<bool, CardError> {
        let fences = match self.fences.take() {
            Some(fences) => fences,
            None => vec![Fence::record_all(context)?],
        };
        let fences = self.fences.insert(fences);
        let mut fences = fences.iter();
        fences.try_fold(true, |all, fence| Ok(all && fence.is_passed()?))
    }
}

impl CardLease {
    pub(crate) fn new(lease: Lease, views: &Arc<CardViews>) -> CardLease {
        CardLease {
            lease: Some(lease),
            views: Arc::clone(views),
            readers: Mutex::new(Readers::Unsaid),
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
        self.readers().add(stream);
    }

    /// Says that no stream reads the views yet.
    pub fn read_by_nobody(&self) {
        *self.readers() = Readers::Streams(BTreeSet::new());
    }

    /// Says that nobody knows which streams read the views, whatever else is said.
    pub fn read_by_unknown(&self) {
        *self.readers() = Readers::Unknown;
    }

    fn readers(&self) -> MutexGuard<'_, Readers> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Readers {
    fn add(&mut self, stream: usize) {
        match self {
            _ if stream == OF_THREAD => *self = Readers::Unknown,
            Readers::Unknown => {}
            Readers::Unsaid => *self = Readers::Streams(BTreeSet::from([stream])),
            Readers::Streams(streams) => {
                streams.insert(stream);
            }
        }
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
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_one_reader_is_unknown_no_other_that_is_named_makes_up_for_it() {
        let mut readers = Readers::Unsaid;
        readers.add(7);
        readers.add(9);
        assert!(matches!(&readers, Readers::Streams(streams) if streams.len() == 2));
        readers.add(OF_THREAD);
        readers.add(7);
        assert!(matches!(readers, Readers::Unknown));
    }
}
