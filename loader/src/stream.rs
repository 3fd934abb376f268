//! One subscriber's stream: its promise, its ring, and the thread that reserves slots and hands batches to its engine.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use loader_ipc::{
    BatchHead, CardId, Closer, Connection, ErrorKind, Geometry, IpcError, Place, Publisher, Reason,
    StreamInfo, SubscriberStatus, Subscription,
};

use crate::failures::Failures;
use crate::pipeline::{BatchJob, Engine, Engines, Stage, Stages, StreamContext, Threads};
use crate::ring::Ring;
use crate::set_error;
use crate::shutdown::Shutdown;
use crate::source::{Plan, Selection, Shards};

/// How often a stream that waits for a free slot looks whether it should stop.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// What all streams of a daemon share.
#[derive(Debug)]
pub struct Services {
    /// The data set.
    pub shards: Shards,
    /// What makes the batches.
    pub engines: Engines,
    /// The bad samples.
    pub failures: Arc<Failures>,
    /// Stops the daemon.
    pub shutdown: Shutdown,
    /// Slots of a ring whose subscriber does not say.
    pub num_slots: u32,
}

/// A promised stream.
#[derive(Debug)]
pub struct Stream {
    id: u64,
    pid: i32,
    subscription: Subscription,
    info: StreamInfo,
    plan: Plan,
    context: Arc<StreamContext>,
    engine: Arc<dyn Engine>,
    publisher: Publisher,
    closer: Closer,
    started: Instant,
}

impl Stream {
    /// Prepares stream number `id` as `subscription` asks for it: plan, promise and ring.
    ///
    /// # Errors
    /// What the subscriber is told.
    pub fn prepare(
        services: &Services,
        id: u64,
        connection: &Connection,
        mut subscription: Subscription,
    ) -> Result<Stream, Reason> {
        let set = services.shards.split(&subscription.split);
        let set = set.map_err(|error| set_error::reason(&error))?;
        let selection = match subscription.subset.take() {
            Some(names) => Selection::named(&set, &names)?,
            None => Selection::all(&set),
        };
        let plan = Plan::new(&subscription, selection.num_samples())?;
        let num_slots = subscription.num_slots.unwrap_or(services.num_slots);
        let geometry = Geometry::new(&subscription.recipe, subscription.batch_size, num_slots);
        let (ring, not_on_card) = Ring::create(&services.engines, geometry, subscription.card)?;
        let info = StreamInfo {
            pid: std::process::id() as i32,
            num_samples: selection.num_samples(),
            num_unlabelled: selection
                .num_unlabelled(&set)
                .map_err(|error| set_error::reason(&error))?,
            classes: set.classes().to_vec(),
            steps_per_epoch: plan.steps_per_epoch(),
            num_batches: plan.num_batches(&subscription),
            start_epoch: subscription.start_epoch,
            start_step: subscription.start_step,
            geometry: ring.geometry,
            not_on_card,
        };
        let context = Arc::new(StreamContext {
            set,
            selection,
            split: subscription.split.clone(),
            recipe: subscription.recipe.clone(),
            seed: subscription.seed,
            failures: Arc::clone(&services.failures),
            shutdown: services.shutdown.clone(),
            num_published: AtomicU64::new(0),
            stages: Stages::default(),
            cancelled: false.into(),
            lost: OnceLock::new(),
            card_memory: ring.card_memory,
            #[cfg(feature = "cuda")]
            pinned: OnceLock::new(),
        });
        Ok(Stream {
            id,
            pid: connection.pid(),
            subscription,
            info,
            plan,
            context,
            engine: ring.engine,
            publisher: ring.publisher,
            closer: connection.closer(),
            started: Instant::now(),
        })
    }

    /// Number of the stream, counting from 1.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The promise to the subscriber.
    pub fn info(&self) -> &StreamInfo {
        &self.info
    }

    /// The writing end of the ring.
    pub fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    /// Bytes that its ring takes of a card.
    pub fn bytes_of(&self, card: CardId) -> u64 {
        let memory = self.context.card_memory.iter();
        let of_it = memory.filter(|memory| memory.card() == card);
        of_it.map(|memory| memory.num_bytes() as u64).sum()
    }

    /// What its ring takes, for people.
    pub fn memory(&self) -> String {
        let (host, card) = (self.publisher.shared_bytes(), self.publisher.card_bytes());
        match self.info.geometry.place {
            Place::HostFile => format!("{} MiB shared", host >> 20),
            Place::Card(id) => format!("{} MiB of {id}", card >> 20),
        }
    }

    /// What makes its batches.
    pub fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// Ends the stream before its last batch.
    pub fn close(&self, reason: Reason) {
        self.closer.close(reason);
    }

    /// Stops all work for this stream: its subscriber is gone.
    pub fn cancel(&self) {
        self.context.cancelled.store(true, Ordering::Relaxed);
    }

    /// Starts the thread that reserves slots and hands them to the engine.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(self: &Arc<Stream>) -> std::io::Result<()> {
        let stream = Arc::clone(self);
        thread::Builder::new()
            .name(format!("stream-{}", self.id))
            .spawn(move || {
                if let Err(error) = stream.submit_all()
                    && !stream.is_over()
                {
                    tracing::error!("stream {}: {error}", stream.id);
                    stream.close(error.reason());
                }
            })?;
        Ok(())
    }

    fn submit_all(&self) -> Result<(), IpcError> {
        for sequence in 0..self.info.num_batches {
            if !self.submit_batch(sequence)? {
                return Ok(());
            }
        }
        self.wait_for_the_last()
    }

    /// Waits until all batches are published: one that the engine loses after the last slot was reserved is told, too.
    fn wait_for_the_last(&self) -> Result<(), IpcError> {
        let num_published = || self.context.num_published.load(Ordering::Relaxed);
        while num_published() < self.info.num_batches && !self.is_over() {
            self.check_engine()?;
            // Nobody waits for this thread: a late look delays the words about a failure alone.
            thread::sleep(LOOK_INTERVAL);
        }
        Ok(())
    }

    /// An engine that lost a batch never publishes it.
    fn check_engine(&self) -> Result<(), IpcError> {
        if !self.publisher.is_aborted() {
            return Ok(());
        }
        let (what, place) = ("a worker failed", format!("stream {}", self.id));
        let remedy = "see the loader's log";
        let unknown = || Reason::new(ErrorKind::Library, what, place, remedy);
        let reason = self.context.lost.get().cloned();
        Err(IpcError::Stopped(reason.unwrap_or_else(unknown)))
    }

    /// Reserves the slot of batch `sequence` and hands it to the engine; `false` when the stream is over.
    fn submit_batch(&self, sequence: u64) -> Result<bool, IpcError> {
        let start = Instant::now();
        let slot = loop {
            if self.is_over() {
                return Ok(false);
            }
            self.check_engine()?;
            if let Some(slot) = self.publisher.reserve(sequence, LOOK_INTERVAL)? {
                break slot;
            }
        };
        let rows = self.plan.rows(&self.info, sequence);
        let stages = &self.context.stages;
        stages.add(Stage::FreeSlot, rows.len(), start);
        let (epoch, step) = self.info.position(sequence);
        let head = BatchHead {
            epoch,
            step,
            num_valid: rows.len(),
        };
        let ids = rows.into_iter().map(|row| self.context.selection.id(row));
        self.engine.submit(BatchJob {
            stream: Arc::clone(&self.context),
            head,
            sample_ids: ids.collect(),
            slot,
        });
        Ok(true)
    }

    fn is_over(&self) -> bool {
        self.context.cancelled.load(Ordering::Relaxed) || self.context.shutdown.is_triggered()
    }

    fn elapsed_s(&self) -> f64 {
        self.started.elapsed().as_secs_f64().max(1e-9)
    }

    /// How many threads it has kept busy, in the mean since it began.
    pub fn num_busy_threads(&self) -> f64 {
        self.context.stages.num_busy_threads(self.elapsed_s())
    }

    /// How the stream is doing, which shares these threads with others.
    pub fn status(&self, threads: Threads) -> SubscriberStatus {
        let num_published = self.context.num_published.load(Ordering::Relaxed);
        let elapsed_s = self.elapsed_s();
        let (epoch, step) = self.info.position(num_published.saturating_sub(1));
        let share = |wait_s: f64| (wait_s / elapsed_s).min(1.0);
        let consumer_wait_s = self.publisher.consumer_wait_us() as f64 / 1e6;
        let producer_wait_s = self.context.stages.seconds(Stage::FreeSlot);
        let stages = self
            .context
            .stages
            .status(threads, num_published, elapsed_s);
        SubscriberStatus {
            id: self.id,
            pid: self.pid,
            name: self.subscription.name.clone(),
            split: self.subscription.split.clone(),
            rank: self.subscription.rank,
            world_size: self.subscription.world_size,
            batch_size: self.subscription.batch_size,
            engine: self.engine.describe(),
            epoch,
            step,
            num_published,
            num_batches: self.info.num_batches,
            images_per_s: (num_published * u64::from(self.subscription.batch_size)) as f64
                / elapsed_s,
            consumer_wait: share(consumer_wait_s),
            producer_wait: share(producer_wait_s),
            stages: stages.0,
            bound: stages.1,
        }
    }
}
