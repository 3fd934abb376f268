//! The daemon's side of a ring: reserve a slot, fill its rows from many threads, and the last row publishes it.
//!
//! `reserve -> SlotWriter -> split -> SampleWriter (one per row) -> finish`. A slot that is dropped before every row is finished
//! aborts the ring: it is never published, and [`Publisher::is_aborted`] says so. Any thread may hold any of these.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use crate::error::IpcError;
use crate::layout::{Geometry, Layout};
use crate::ring::{Ring, Turn};
use crate::segment::Segment;
use crate::sync::{AtomicBool, AtomicUsize, Ordering};

/// Label of a row that has none.
pub const NO_LABEL: i64 = -1;
/// Sample id of a row beyond the batch's valid ones.
pub const NO_SAMPLE: u64 = u64::MAX;

/// The writing end of a ring.
#[derive(Debug)]
pub struct Publisher {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    ring: Ring,
    views: Segment,
    /// The card's memory, as its driver exports it.
    card_memory: Option<OwnedFd>,
    layout: Layout,
    aborted: AtomicBool,
}

/// A reserved slot that nobody else touches.
#[derive(Debug)]
pub struct SlotWriter {
    filling: Filling,
}

/// The memory of all slots of a ring, for an engine that makes it known to a device. It stays mapped as long as this lives.
#[derive(Debug, Clone)]
pub struct RingMemory {
    shared: Arc<Shared>,
}

/// What a slot says about its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHead {
    /// Epoch of the batch.
    pub epoch: u64,
    /// Step within the epoch.
    pub step: u64,
    /// Rows that hold a sample; the rest is padding.
    pub num_valid: usize,
}

/// One row of a reserved slot: all views of one sample, its label and its id.
#[derive(Debug)]
pub struct SampleWriter {
    filling: Arc<Filling>,
    row: usize,
}

/// A slot until it is published. Dropped before that, it aborts the ring.
#[derive(Debug)]
struct Filling {
    shared: Arc<Shared>,
    turn: Turn,
    unfinished: AtomicUsize,
}

impl Publisher {
    /// Creates both segments, every page reserved.
    ///
    /// # Errors
    /// [`IpcError::SharedMemory`] when there is too little memory for the ring.
    pub fn create(geometry: &Geometry) -> Result<Publisher, IpcError> {
        Publisher::create_with(geometry, None)
    }

    /// The same where the views lie in memory of a card: `card_memory` is its descriptor, for the subscriber.
    ///
    /// # Errors
    /// As those of [`Publisher::create`].
    pub fn create_with(
        geometry: &Geometry,
        card_memory: Option<OwnedFd>,
    ) -> Result<Publisher, IpcError> {
        let layout = geometry.layout()?;
        let views = Segment::create_views(&layout)?;
        let ring = Ring::create(&layout)?;
        let shared = Shared {
            ring,
            views,
            card_memory,
            layout,
            aborted: AtomicBool::new(false),
        };
        Ok(Publisher {
            shared: Arc::new(shared),
        })
    }

    /// Descriptors for the subscriber: the control segment, the views, and the card's memory where they lie there.
    ///
    /// # Errors
    /// [`IpcError::Io`] when descriptors run out.
    pub fn descriptors(&self) -> Result<Vec<OwnedFd>, IpcError> {
        let mut descriptors = vec![self.shared.ring.fd()?, self.shared.views.fd()?];
        if let Some(memory) = &self.shared.card_memory {
            let copy = memory.try_clone();
            descriptors.push(copy.map_err(IpcError::io("cannot duplicate a descriptor"))?);
        }
        Ok(descriptors)
    }

    /// Waits for the slot of batch number `sequence` to be free; `None` when `timeout` passed first.
    ///
    /// # Errors
    /// [`IpcError::Corrupt`] when the subscriber broke the protocol.
    pub fn reserve(
        &self,
        sequence: u64,
        timeout: Duration,
    ) -> Result<Option<SlotWriter>, IpcError> {
        let turn = self.shared.ring.turn(sequence);
        let free = self.shared.ring.wait_free(turn, timeout)?;
        let filling = || Filling {
            shared: Arc::clone(&self.shared),
            turn,
            unfinished: AtomicUsize::new(self.shared.layout.batch_size),
        };
        Ok(free.then(|| SlotWriter { filling: filling() }))
    }

    /// True once a slot was dropped unfinished: the stream cannot go on.
    pub fn is_aborted(&self) -> bool {
        self.shared.aborted.load(Ordering::Acquire)
    }

    /// How long the subscriber says it has waited for batches, in microseconds.
    pub fn consumer_wait_us(&self) -> u64 {
        self.shared.ring.consumer_wait_us().load(Ordering::Relaxed)
    }

    /// Bytes of a card's memory that it holds.
    pub fn card_bytes(&self) -> usize {
        self.shared.layout.card_bytes()
    }

    /// Bytes of shared memory that the ring holds.
    pub fn shared_bytes(&self) -> usize {
        self.shared.layout.views_bytes() + self.shared.layout.control_bytes()
    }
}

impl RingMemory {
    /// Address of its first byte, that of a page.
    pub fn address(&self) -> *mut u8 {
        self.shared.views.bytes(0, self.num_bytes())
    }

    /// Its size.
    pub fn num_bytes(&self) -> usize {
        self.shared.layout.views_bytes()
    }
}

impl SlotWriter {
    /// The memory that the slot is a part of.
    pub fn ring(&self) -> RingMemory {
        RingMemory {
            shared: Arc::clone(&self.filling.shared),
        }
    }

    /// Where the slot's tensors begin in the card's memory, in bytes; `None` where they lie in memory of the host.
    pub fn card_offset(&self) -> Option<usize> {
        let Filling { shared, turn, .. } = &self.filling;
        shared.layout.card_offset(turn.slot)
    }

    /// Bytes of all tensors of the slot, wherever they lie.
    pub fn tensors_bytes(&self) -> usize {
        let layout = &self.filling.shared.layout;
        match layout.card_slot_bytes {
            0 => layout.slot_bytes - layout.tensors_offset(),
            bytes => bytes,
        }
    }

    /// All tensors of the slot in one piece, for an engine that writes whole batches. What it says of rows beyond the valid ones does not matter.
    ///
    /// # Panics
    /// If they lie in memory of a card.
    #[allow(unsafe_code)]
    pub fn tensors(&mut self) -> &mut [u8] {
        let Filling { shared, turn, .. } = &self.filling;
        assert!(
            self.card_offset().is_none(),
            "tensors in memory of the host"
        );
        let offset = shared.layout.tensors_offset();
        let len = self.tensors_bytes();
        let at = shared.bytes(*turn, offset, len);
        // SAFETY: inside the mapping; the turn word gives this slot to this writer alone, which has handed out no rows yet; `&mut self` makes it unique
        // in this process; the subscriber cannot write the views (they are sealed, `Segment::create_views`).
        unsafe { std::slice::from_raw_parts_mut(at, len) }
    }

    /// Where a view (its index in the recipe) of a row begins, counted from the slot's first tensor, in bytes.
    ///
    /// # Panics
    /// If there is no such view or row.
    pub fn view_offset(&self, view: usize, row: usize) -> usize {
        let layout = &self.filling.shared.layout;
        let (offset, _) = layout
            .view_range(view, row)
            .expect("a view of the recipe and a row of the batch");
        offset - layout.tensors_offset()
    }

    /// Writes the batch's head and the padding rows, and hands out one writer per valid row.
    ///
    /// The slot is published when the last of them finishes.
    pub fn split(self, head: BatchHead) -> Vec<SampleWriter> {
        let Filling { shared, turn, .. } = &self.filling;
        let batch_size = shared.layout.batch_size;
        assert!(
            (1..=batch_size).contains(&head.num_valid),
            "1 to {batch_size} valid rows"
        );
        self.write_head(head);
        for row in head.num_valid..batch_size {
            shared.write_label(*turn, row, NO_LABEL, NO_SAMPLE);
        }
        self.filling
            .unfinished
            .store(head.num_valid, Ordering::Relaxed);
        let filling = Arc::new(self.filling);
        let writer = |row| SampleWriter {
            filling: Arc::clone(&filling),
            row,
        };
        (0..head.num_valid).map(writer).collect()
    }

    #[allow(unsafe_code)]
    fn write_head(&self, head: BatchHead) {
        let words = [head.epoch, head.step, head.num_valid as u64];
        let Filling { shared, turn, .. } = &self.filling;
        let at = shared
            .bytes(*turn, 0, size_of_val(&words))
            .cast::<[u64; 3]>();
        // SAFETY: inside the slot, 4096-aligned; the turn word gives this slot to this writer alone.
        unsafe { at.write(words) };
    }
}

impl SampleWriter {
    /// The pixels of view `view` (its index in the recipe): `u8 [size, size, 3]`, to be written.
    #[allow(unsafe_code)]
    pub fn view(&mut self, view: usize) -> &mut [u8] {
        let Filling { shared, turn, .. } = &*self.filling;
        let (offset, len) = shared
            .layout
            .view_range(view, self.row)
            .expect("a view of the recipe");
        let at = shared.bytes(*turn, offset, len);
        // SAFETY: the range lies inside the mapping and belongs to this row alone (`Layout::view_range` gives disjoint
        // ranges, proven by a property test); `&mut self` makes it unique in this process until the row is finished; the
        // subscriber cannot write the views (they are sealed, `Segment::create_views`).
        unsafe { std::slice::from_raw_parts_mut(at, len) }
    }

    /// Writes label and sample id. The last row of the slot publishes the batch and returns `true`.
    pub fn finish(self, label: i64, sample_id: u64) -> bool {
        let Filling {
            shared,
            turn,
            unfinished,
        } = &*self.filling;
        shared.write_label(*turn, self.row, label, sample_id);
        let is_last = unfinished.fetch_sub(1, Ordering::AcqRel) == 1;
        if is_last {
            shared.ring.publish(*turn);
        }
        is_last
    }
}

impl Drop for Filling {
    fn drop(&mut self) {
        if *self.unfinished.get_mut() > 0 {
            self.shared.aborted.store(true, Ordering::Release);
        }
    }
}

impl Shared {
    fn bytes(&self, turn: Turn, offset: usize, len: usize) -> *mut u8 {
        assert!(
            offset + len <= self.layout.slot_bytes,
            "range inside the slot"
        );
        self.views
            .bytes(turn.slot * self.layout.slot_bytes + offset, len)
    }

    #[allow(unsafe_code)]
    fn write_label(&self, turn: Turn, row: usize, label: i64, sample_id: u64) {
        let label_at = self
            .bytes(turn, self.layout.labels_offset + 8 * row, 8)
            .cast::<i64>();
        let id_at = self
            .bytes(turn, self.layout.ids_offset + 8 * row, 8)
            .cast::<u64>();
        // SAFETY: inside the slot, 8-aligned, and each row has one writer.
        unsafe {
            label_at.write(label);
            id_at.write(sample_id);
        }
    }
}
