//! Batches in flight: from a free lane to a published slot, and what becomes of them where the card or nvJPEG fails.
//!
//! A lane is one batch in flight. A batch begins when one is free, so all memory is bounded. Where the card fails, [`OnFailure`] says what happens; what
//! was on its way is made anew by the CPU, or the daemon stops. It starts no thread: those of the engine call it.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded};
use loader_card::CardError;
use loader_ipc::{ErrorKind, Reason};
use nvjpeg::{Decoder, Failure};

use crate::pipeline::cpu::Pool;
use crate::pipeline::cuda::batch::{Batch, LateRow, Sealed};
use crate::pipeline::cuda::card::Card;
use crate::pipeline::cuda::lane::{Lane, Share};
use crate::pipeline::cuda::memory::PinnedRing;
use crate::pipeline::cuda::nvjpeg_decoders::{self, Decoded};
use crate::pipeline::cuda::row::RowMaker;
use crate::pipeline::engine::{BatchJob, Engine};
use crate::pipeline::stages::Stage;
use crate::pipeline::stream_context::StreamContext;
use crate::shutdown::Stop;

/// Batches in flight: one that threads decode, one on the card, one that is coming back.
const NUM_LANES: usize = 3;

/// How often a batch that waits for a free lane looks whether it should.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// What happens where the card fails while batches are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// The CPU goes on, and a line says so.
    UseCpu,
    /// The daemon stops.
    Stop,
}

/// Settings of the engine.
#[derive(Debug, Clone, Copy)]
pub struct CudaSettings {
    /// Threads that decode.
    pub num_workers: usize,
    /// Largest image, in pixels.
    pub pixel_limit: u64,
    /// What happens where the card fails.
    pub on_failure: OnFailure,
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) card: Arc<Card>,
    pub(super) settings: CudaSettings,
    free: (Sender<Lane>, Receiver<Lane>),
    num_lanes: AtomicUsize,
    arriving: Sender<Sealed>,
    pub(super) has_failed: AtomicBool,
    /// What is told of nvJPEG, and whether it decodes.
    pub(super) nvjpeg: String,
    pub(super) has_decoders: AtomicBool,
    /// Makes batches where the card does not.
    cpu: OnceLock<Option<Pool>>,
    pub(super) by_engines: AtomicU64,
    pub(super) by_hybrid: AtomicU64,
    pub(super) on_card: AtomicU64,
    pub(super) on_cpu: AtomicU64,
}

impl InFlight {
    /// Takes memory of a card for batches: as many lanes as there is room for. `arriving` gets what is to be waited for.
    ///
    /// # Errors
    /// Why the card, or nvJPEG where it must decode, cannot be used.
    pub(super) fn on(
        card: Card,
        settings: CudaSettings,
        arriving: Sender<Sealed>,
    ) -> Result<InFlight, Reason> {
        let card = Arc::new(card);
        let host = loader_ipc::room().map_or(usize::MAX, |room| room.bytes as usize);
        let share = Share::of(&card, host, NUM_LANES);
        let (decoders, nvjpeg) = decoders(&card, share, settings.on_failure)?;
        let has_decoders = AtomicBool::new(!decoders.is_empty());
        let free = bounded(NUM_LANES);
        for lane in lanes(&card, share, decoders).map_err(|error| card.broken(&error))? {
            free.0.send(lane).expect("room for all of them");
        }
        Ok(InFlight {
            num_lanes: AtomicUsize::new(free.1.len()),
            card,
            settings,
            free,
            arriving,
            has_failed: AtomicBool::new(false),
            nvjpeg,
            has_decoders,
            cpu: OnceLock::new(),
            by_engines: AtomicU64::new(0),
            by_hybrid: AtomicU64::new(0),
            on_card: AtomicU64::new(0),
            on_cpu: AtomicU64::new(0),
        })
    }

    /// A batch with a lane of its own; `None` where another way was found for the job.
    pub(super) fn begin(&self, job: BatchJob) -> Option<Batch> {
        let on_card = tensors_on_card(&job);
        let num_bytes = job.slot.tensors_bytes();
        loop {
            let Some(mut lane) = self.free_lane(&job.stream) else {
                if self.has_failed.load(Ordering::Acquire) {
                    self.use_cpu(job);
                }
                return None;
            };
            let fitted = match on_card {
                Some(address) => Ok(address),
                None => lane.fit(num_bytes, self.bounces(&job)),
            };
            match fitted {
                Ok(tensors) => return Some(Batch::new(job, lane, tensors)),
                Err(error) if error.is_out_of_memory() && self.gives_memory(&mut lane) => {
                    tracing::warn!("less memory for batches in flight: {error}");
                    self.give_back(lane);
                }
                Err(error) if error.is_out_of_memory() && self.drops_a_lane() => {
                    let left = self.num_lanes.load(Ordering::Relaxed);
                    tracing::warn!("{left} batches in flight only: {error}");
                }
                Err(error) => {
                    self.give_back(lane);
                    self.fail(job, &error);
                    return None;
                }
            }
        }
    }

    /// Waits for a lane, which comes back as soon as its batch is made or lost; `None` where the card has failed or the stream is over.
    fn free_lane(&self, stream: &StreamContext) -> Option<Lane> {
        loop {
            let lane = self.free.1.recv_timeout(LOOK_INTERVAL).ok();
            if let Err(error) = loader_card::check_answers(self.card.context()) {
                self.say_failed(stream, &error);
            }
            if self.has_failed.load(Ordering::Acquire) {
                lane.into_iter().for_each(|lane| self.give_back(lane));
                return None;
            }
            let is_over =
                || stream.cancelled.load(Ordering::Relaxed) || stream.shutdown.is_triggered();
            if lane.is_some() || is_over() {
                return lane;
            }
        }
    }

    /// Whether the card cannot write the job's slots by itself. The first batch of a stream asks.
    fn bounces(&self, job: &BatchJob) -> bool {
        if job.slot.card_offset().is_some() {
            return false;
        }
        let ring = job.stream.pinned.get_or_init(|| {
            let registered = PinnedRing::register(self.card.context(), job.slot.ring());
            let told = |error| tracing::warn!("views take one copy more on the host: {error}");
            registered.map_err(told).ok()
        });
        ring.is_none()
    }

    fn gives_memory(&self, lane: &mut Lane) -> bool {
        lane.shrink().unwrap_or(false)
    }

    /// Takes a lane out of service unless it is the last.
    fn drops_a_lane(&self) -> bool {
        let less = |num_lanes: usize| (num_lanes > 1).then(|| num_lanes - 1);
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        self.num_lanes.fetch_update(set, fetch, less).is_ok()
    }

    fn give_back(&self, lane: Lane) {
        self.free
            .0
            .send(lane)
            .expect("both ends live as long as this");
    }

    /// Sends a batch whose rows are placed on its way.
    pub(super) fn depart(&self, mut sealed: Sealed) {
        if sealed.is_abandoned {
            // What was put onto the stream may still use the slot. Unfinished, it ends its ring.
            let broken = sealed.failure.take().or_else(|| sealed.lane.wait().err());
            return match broken {
                Some(error) => self.lose(sealed, &error),
                None => self.give_back(sealed.lane),
            };
        }
        let bounces = self.bounces(&sealed.job);
        let Sealed {
            job,
            lane,
            round,
            decoded,
            failure,
            shown,
            ..
        } = &mut sealed;
        let (num_rows, started) = (shown.len(), Instant::now());
        let sent = match failure.take() {
            Some(error) => Err(error),
            None if round.is_empty() => lane.send(&mut job.slot, num_rows, bounces),
            None => lane.run(round).and_then(|answers| {
                decoded.add(&round.jpegs, answers);
                lane.send(&mut job.slot, num_rows, bounces)
            }),
        };
        let stages = &job.stream.stages;
        stages.add(Stage::HandOver, round.num_images, started);
        match sent {
            Ok(()) => self
                .arriving
                .send(sealed)
                .expect("the receiver lives as long as this"),
            Err(error) => self.lose(sealed, &error),
        }
    }

    /// Waits for a batch, makes what nvJPEG did not decode, and publishes it.
    pub(super) fn arrive(&self, mut sealed: Sealed, maker: &mut RowMaker) {
        let bounces = self.bounces(&sealed.job);
        let (job, num_rows) = (&mut sealed.job, sealed.shown.len());
        let stages = &job.stream.stages;
        let arrived = sealed.lane.arrive(&mut job.slot, num_rows, bounces, stages);
        if let Err(error) = arrived {
            return self.lose(sealed, &error);
        }
        if let Some(failure) = sealed.decoded.failure {
            self.say_nvjpeg_failed(&sealed.job.stream, failure);
            if self.settings.on_failure == OnFailure::Stop {
                return self.give_back(sealed.lane);
            }
        }
        let rows = sealed.decoded.failed_rows.iter();
        let made: Option<Vec<_>> = rows.map(|row| remade(maker, &sealed.job, *row)).collect();
        let Some(made) = made else {
            // An unfinished slot ends its ring.
            return self.give_back(sealed.lane);
        };
        sealed.late.extend(made);
        if let Err(error) = sealed.write_late_rows() {
            return self.lose(sealed, &error);
        }
        self.give_back(sealed.lane);
        self.count(sealed.shown.len(), sealed.late.len(), &sealed.decoded);
        let (job, shown) = (sealed.job, sealed.shown);
        for (writer, shown) in job.slot.split(job.head).into_iter().zip(shown) {
            if writer.finish(shown.label, shown.sample_id) {
                job.stream.num_published.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn count(&self, num_rows: usize, num_late: usize, decoded: &Decoded) {
        let on_card = num_rows as u64 - num_late as u64 - decoded.num_images();
        for (counter, num) in [
            (&self.by_engines, decoded.by_engines),
            (&self.by_hybrid, decoded.by_hybrid),
            (&self.on_card, on_card),
            (&self.on_cpu, num_late as u64),
        ] {
            counter.fetch_add(num, Ordering::Relaxed);
        }
    }

    /// No file goes to nvJPEG any more.
    fn say_nvjpeg_failed(&self, stream: &StreamContext, failure: Failure) {
        let is_first = self.has_decoders.swap(false, Ordering::AcqRel);
        match self.settings.on_failure {
            OnFailure::UseCpu if is_first => {
                tracing::warn!("images are decoded by the CPU from now on: {failure}");
            }
            OnFailure::UseCpu => {}
            OnFailure::Stop => {
                let reason = nvjpeg_failed(&self.card, failure);
                stream.shutdown.trigger(Stop::Failed(reason));
            }
        }
    }

    /// What becomes of a batch that the card has failed. The CPU takes its slot only if the card cannot write it any more.
    fn lose(&self, sealed: Sealed, error: &CardError) {
        let is_named = sealed.job.slot.card_offset().is_some() || sealed.lane.may_write_slot();
        let is_still = sealed.lane.wait().is_ok() || !is_named;
        // Before the lane is free: no batch may begin on it any more.
        self.say_failed(&sealed.job.stream, error);
        self.give_back(sealed.lane);
        if is_still {
            return self.use_cpu(sealed.job);
        }
        if !self.ends_stream(&sealed.job) {
            let _ = sealed.job.stream.lost.set(self.may_write());
        }
        // The card might yet write the slot, so its memory is never given back. The slot is dropped unfinished, which ends the stream.
        std::mem::forget((sealed.job.slot.ring(), Arc::clone(&sealed.job.stream)));
    }

    fn fail(&self, job: BatchJob, error: &CardError) {
        self.say_failed(&job.stream, error);
        self.use_cpu(job);
    }

    /// Whether the stream of a batch that the card has failed cannot go on, since the slot lies in memory of the card. Then it learns why, once.
    fn ends_stream(&self, job: &BatchJob) -> bool {
        let on_card = job.slot.card_offset().is_some();
        if on_card {
            // Before the slot is dropped. An earlier batch may have said so.
            let _ = job.stream.lost.set(self.no_memory());
        }
        on_card
    }

    /// What a stream learns that has its views in memory of a card that has failed.
    pub(super) fn no_memory(&self) -> Reason {
        let what = "the card that holds the views has failed";
        let remedy = "see the driver's messages (dmesg); whoever subscribes again has views in memory of the host";
        Reason::new(ErrorKind::Library, what, self.card.name(), remedy)
    }

    /// What a stream learns that has its views in memory of the host, which the card has failed to write and might yet.
    fn may_write(&self) -> Reason {
        let what = "the card that makes the views has failed, and might yet write their memory";
        let remedy =
            "see the driver's messages (dmesg); whoever subscribes again has views by the CPU";
        Reason::new(ErrorKind::Library, what, self.card.name(), remedy)
    }

    /// No batch goes to the card any more.
    fn say_failed(&self, stream: &StreamContext, error: &CardError) {
        let is_first = !self.has_failed.swap(true, Ordering::AcqRel);
        let name = self.card.name();
        match self.settings.on_failure {
            OnFailure::UseCpu if is_first => {
                tracing::warn!("batches are made by the CPU from now on: {name}: {error}");
            }
            OnFailure::UseCpu => {}
            OnFailure::Stop => {
                stream
                    .shutdown
                    .trigger(Stop::Failed(self.card.broken(error)));
            }
        }
    }

    /// Has the CPU make a batch, unless the daemon stops anyway, or the CPU cannot write the slot: then the stream ends with the reason.
    fn use_cpu(&self, job: BatchJob) {
        if self.settings.on_failure == OnFailure::Stop {
            return;
        }
        if self.ends_stream(&job) {
            return;
        }
        let CudaSettings {
            num_workers,
            pixel_limit,
            ..
        } = self.settings;
        let pool = self.cpu.get_or_init(|| {
            let started = Pool::start(num_workers, pixel_limit);
            let told = |error| tracing::error!("no threads to go on with: {error}");
            started.map_err(told).ok()
        });
        self.on_cpu
            .fetch_add(job.sample_ids.len() as u64, Ordering::Relaxed);
        // Without a pool the slot is dropped, which ends the stream with an error.
        if let Some(pool) = pool {
            pool.submit(job);
        }
    }
}

/// nvJPEG's decoders and what to tell of it. The CPU decodes where there are none, unless the card is to do it for certain.
fn decoders(
    card: &Card,
    share: Share,
    on_failure: OnFailure,
) -> Result<(Vec<Decoder>, String), Reason> {
    match nvjpeg_decoders::for_lanes(card, NUM_LANES, share.nvjpeg) {
        Err(reason) if on_failure == OnFailure::UseCpu => Ok((Vec::new(), reason.to_string())),
        opened => opened,
    }
}

/// As many lanes as there is memory for.
fn lanes(card: &Arc<Card>, share: Share, decoders: Vec<Decoder>) -> Result<Vec<Lane>, CardError> {
    let share = match decoders.is_empty() {
        true => share.without_decoder(),
        false => share,
    };
    let num_branches = nvjpeg_decoders::num_branches(&decoders, NUM_LANES);
    let mut decoders = decoders.into_iter();
    let mut lanes = Vec::new();
    while lanes.len() < NUM_LANES {
        match Lane::new(card, share.room, decoders.next(), num_branches) {
            Ok(lane) => lanes.push(lane),
            Err(error) if error.is_out_of_memory() && !lanes.is_empty() => {
                tracing::warn!("{} batches in flight only: {error}", lanes.len());
                break;
            }
            Err(error) => return Err(error),
        }
    }
    tracing::info!(
        "{}: {} batches in flight, each with at most {} MiB of pinned memory and {} MiB of the card's, and a slot",
        card.name(),
        lanes.len(),
        share.pinned_bytes() >> 20,
        share.card_bytes() >> 20,
    );
    Ok(lanes)
}

/// The address of the slot's first tensor, where it lies in memory of the card.
fn tensors_on_card(job: &BatchJob) -> Option<u64> {
    let (offset, memory) = (job.slot.card_offset()?, job.stream.card_memory.as_ref()?);
    Some(memory.address() + offset as u64)
}

impl Sealed {
    /// Writes the rows that the CPU made over what the card says of them. The stream has done everything else.
    fn write_late_rows(&mut self) -> Result<(), CardError> {
        let on_card = tensors_on_card(&self.job);
        for late in &self.late {
            self.shown[late.row] = late.shown;
            for (view, pixels) in late.views.iter().enumerate() {
                let offset = self.job.slot.view_offset(view, late.row);
                match on_card {
                    Some(tensors) => self.lane.overwrite(tensors + offset as u64, pixels)?,
                    None => self.job.slot.tensors()[offset..offset + pixels.len()]
                        .copy_from_slice(pixels),
                }
            }
        }
        Ok(())
    }
}

/// A row that nvJPEG did not decode, made by the CPU. `None` where no sample is good, or its decoder panics.
fn remade(maker: &mut RowMaker, job: &BatchJob, row: usize) -> Option<LateRow> {
    let planned = job.sample_ids[row];
    let make = || maker.late(&job.stream, &job.head, planned, row);
    panic::catch_unwind(AssertUnwindSafe(make)).ok().flatten()
}

fn nvjpeg_failed(card: &Card, failure: Failure) -> Reason {
    let what = format!("nvJPEG has failed: {failure}");
    let (kind, remedy) = match failure.is_out_of_memory() {
        true => (
            ErrorKind::Resources,
            "make batches smaller, free memory of the card, or let the CPU decode",
        ),
        false => (
            ErrorKind::Library,
            "see the driver's messages (dmesg), or let the CPU decode",
        ),
    };
    Reason::new(kind, what, card.name(), remedy)
}
