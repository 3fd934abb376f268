//! One batch on its way to the card. Threads place its rows, in any order; where its lane is full, it is emptied in between.
//!
//! It does not know what views are: a row comes as an image, or as the file of one, and the table of what to make of it. Nobody waits for anything but the card and
//! for threads that are copying an image, so it cannot come to a standstill.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use loader_card::CardError;
use loader_ipc::{BatchHead, NO_LABEL, NO_SAMPLE, SlotWriter};

use crate::augment::cuda::Table;
use crate::pipeline::cuda::lane::Lane;
use crate::pipeline::cuda::nvjpeg_decoders::Decoded;
use crate::pipeline::cuda::round::{Place, Room, Round, Source};
use crate::pipeline::engine::BatchJob;
use crate::pipeline::replace::Shown;
use crate::pipeline::stages::Stage;
use crate::pipeline::stream_context::StreamContext;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Batch {
    /// The stream it belongs to.
    pub(super) stream: Arc<StreamContext>,
    /// What the slot says about it.
    pub(super) head: BatchHead,
    /// The planned samples.
    pub(super) sample_ids: Vec<u64>,
    num_open: AtomicUsize,
    is_abandoned: AtomicBool,
    filling: Mutex<Option<Filling>>,
    changed: Condvar,
}

/// What threads share while rows come in.
#[derive(Debug)]
struct Filling {
    lane: Lane,
    tensors: u64,
    slot: SlotWriter,
    round: Round,
    is_emptying: bool,
    shown: Vec<Shown>,
    late: Vec<LateRow>,
    decoded: Decoded,
    failure: Option<CardError>,
}

/// A row whose views were made by the CPU. They are written over what the card says of it.
#[derive(Debug)]
pub(super) struct LateRow {
    /// The row.
    pub(super) row: usize,
    /// What it shows.
    pub(super) shown: Shown,
    /// Its views in the recipe's order, one after the other.
    pub(super) views: Vec<Vec<u8>>,
}

/// What became of a row that was to be placed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Placed {
    /// The card makes its views.
    OnCard,
    /// It is more than a lane can hold: its views are to be made by the CPU.
    TooLarge,
}

/// A batch whose rows are all placed.
#[derive(Debug)]
pub(super) struct Sealed {
    /// Dropped first: it waits for what is on its way to the slot.
    pub(super) lane: Lane,
    pub(super) job: BatchJob,
    /// The last round, not yet run.
    pub(super) round: Round,
    pub(super) shown: Vec<Shown>,
    pub(super) late: Vec<LateRow>,
    /// What became of the files of earlier rounds.
    pub(super) decoded: Decoded,
    /// Whether nobody wants it any more, or a row has no sample.
    pub(super) is_abandoned: bool,
    /// What went wrong in an earlier round.
    pub(super) failure: Option<CardError>,
}

impl Batch {
    /// A batch whose first tensor the card writes at `tensors`.
    pub(super) fn new(job: BatchJob, lane: Lane, tensors: u64) -> Batch {
        let none = Shown {
            sample_id: NO_SAMPLE,
            label: NO_LABEL,
        };
        let num_rows = job.sample_ids.len();
        let filling = Filling {
            lane,
            tensors,
            slot: job.slot,
            round: Round::default(),
            is_emptying: false,
            shown: vec![none; num_rows],
            late: Vec::new(),
            decoded: Decoded::default(),
            failure: None,
        };
        Batch {
            stream: job.stream,
            head: job.head,
            sample_ids: job.sample_ids,
            num_open: AtomicUsize::new(num_rows),
            is_abandoned: AtomicBool::new(false),
            filling: Mutex::new(Some(filling)),
            changed: Condvar::new(),
        }
    }

    /// Places a row: the image or its file goes to the card, to become `views`, a table that was made as if it lay at address 0. May wait for the card.
    pub(super) fn place(&self, row: usize, shown: Shown, source: Source, views: &Table) -> Placed {
        let mut guard = self.lock();
        let (place, piece) = loop {
            guard = self.wait_while(guard, |filling| filling.is_emptying);
            let filling = open(&mut guard);
            if filling.failure.is_some() {
                return Placed::OnCard;
            }
            let room = filling.lane.room();
            if let Some(place) = filling.round.take(source, views, room) {
                let num_bytes = source.bytes().len();
                // SAFETY: the round gives every place once, and it is run when nobody is writing any more.
                break (place, unsafe {
                    filling.lane.piece(place.staging, num_bytes)
                });
            }
            let needed = filling.round.with(source, views);
            if filling.round.is_empty() {
                match filling.lane.grow(needed) {
                    Ok(true) => {}
                    Ok(false) => return Placed::TooLarge,
                    Err(error) => filling.failure = Some(error),
                }
            } else {
                guard = self.empty(guard, needed);
            }
        };
        drop(guard);
        let write = || piece.write(source.bytes());
        self.stream.stages.time(Stage::Pin, 1, write);
        let mut guard = self.lock();
        open(&mut guard).add(row, shown, (source, place), views);
        self.changed.notify_all();
        Placed::OnCard
    }

    /// Takes views that the CPU made of a row.
    pub(super) fn add_late(&self, late: LateRow) {
        let mut guard = self.lock();
        open(&mut guard).late.push(late);
    }

    /// Says that a row will not come.
    pub(super) fn abandon(&self) {
        self.is_abandoned.store(true, Ordering::Relaxed);
    }

    /// Closes a row. The last one gets the whole batch.
    pub(super) fn close_row(&self) -> Option<Sealed> {
        if self.num_open.fetch_sub(1, Ordering::AcqRel) > 1 {
            return None;
        }
        let filling = self.lock().take()?;
        Some(Sealed {
            lane: filling.lane,
            job: BatchJob {
                stream: Arc::clone(&self.stream),
                head: self.head,
                sample_ids: self.sample_ids.clone(),
                slot: filling.slot,
            },
            round: filling.round,
            shown: filling.shown,
            late: filling.late,
            decoded: filling.decoded,
            is_abandoned: self.is_abandoned.load(Ordering::Relaxed),
            failure: filling.failure,
        })
    }

    /// Runs the round and waits for it, once nobody is writing; then the lane is empty again, and larger where it can be.
    fn empty<'a>(
        &'a self,
        mut guard: MutexGuard<'a, Option<Filling>>,
        needed: Room,
    ) -> MutexGuard<'a, Option<Filling>> {
        open(&mut guard).is_emptying = true;
        guard = self.wait_while(guard, |filling| filling.round.num_writing > 0);
        let filling = open(&mut guard);
        let stages = &self.stream.stages;
        let (lane, round) = (&mut filling.lane, &filling.round);
        let run = stages.time(Stage::HandOver, round.num_images, || lane.run(round));
        let emptied = run.and_then(|answers| {
            filling.decoded.add(&filling.round.jpegs, answers);
            filling.lane.wait()?;
            filling.lane.read_marks(stages)?;
            filling.lane.grow(needed)
        });
        filling.failure = emptied.err();
        filling.round.clear();
        filling.is_emptying = false;
        self.changed.notify_all();
        guard
    }

    fn lock(&self) -> MutexGuard<'_, Option<Filling>> {
        self.filling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while<'a>(
        &self,
        guard: MutexGuard<'a, Option<Filling>>,
        condition: impl Fn(&Filling) -> bool,
    ) -> MutexGuard<'a, Option<Filling>> {
        let waited = self
            .changed
            .wait_while(guard, |filling| filling.as_ref().is_some_and(&condition));
        waited.unwrap_or_else(PoisonError::into_inner)
    }
}

fn open<'a>(guard: &'a mut MutexGuard<'_, Option<Filling>>) -> &'a mut Filling {
    guard.as_mut().expect("it is sealed by its last row")
}

impl Filling {
    fn add(&mut self, row: usize, shown: Shown, (source, place): (Source, Place), views: &Table) {
        let image = self.lane.image_address(source, place);
        self.round.add_file(row, source, place);
        let (tensors, slot) = (self.tensors, &self.slot);
        let out = |view| tensors + slot.view_offset(view, row) as u64;
        self.round.table.append(views, image, out);
        self.round.num_writing -= 1;
        self.shown[row] = shown;
    }
}
