//! The engine: threads that read or decode files, for one card or several, and a thread for each card that waits for what comes back.
//!
//! What becomes of a batch between them is said in `in_flight`.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crossbeam::channel::{Receiver, Sender, bounded, unbounded};
use loader_card::ExportedMemory;
use loader_ipc::{CardId, ErrorKind, Reason, RouteCount};

use crate::pipeline::cuda::batch::{Batch, Sealed};
use crate::pipeline::cuda::card::Card;
use crate::pipeline::cuda::in_flight::{CudaSettings, InFlight};
use crate::pipeline::cuda::row::RowMaker;
use crate::pipeline::engine::{BatchJob, Engine};

/// Rows that wait per worker, as in the pool of the CPU.
const QUEUED_PER_WORKER: usize = 4;

/// Decodes by nvJPEG where that can, else on the CPU; makes views on the card. Its threads end when it is dropped.
#[derive(Debug)]
pub struct CudaEngine {
    in_flight: Arc<InFlight>,
    rows: Sender<Row>,
}

/// One row of a batch. Whatever becomes of it, its batch learns of its end.
#[derive(Debug)]
struct Row {
    in_flight: Arc<InFlight>,
    batch: Arc<Batch>,
    index: usize,
    is_placed: bool,
}

impl CudaEngine {
    /// Opens the first card that the driver shows, and starts the threads that read and decode.
    ///
    /// # Errors
    /// Why the card cannot be used, or that there are no threads.
    pub fn start(settings: CudaSettings) -> Result<CudaEngine, Reason> {
        let card = Card::open(0)?;
        let rows = start_workers(settings).map_err(no_thread)?;
        CudaEngine::on(card, settings, rows)
    }

    /// Starts the thread that waits for a card, whose rows are made by those that take them from `rows`.
    fn on(card: Card, settings: CudaSettings, rows: Sender<Row>) -> Result<CudaEngine, Reason> {
        let (to_arrive, arriving) = unbounded();
        let in_flight = Arc::new(InFlight::on(card, settings, to_arrive)?);
        start_arrivals(&in_flight, arriving).map_err(no_thread)?;
        Ok(CudaEngine { in_flight, rows })
    }
}

fn no_thread(error: io::Error) -> Reason {
    let what = format!("no thread for the engine: {error}");
    let remedy = "allow more threads (ulimit -u)";
    Reason::new(ErrorKind::Resources, what, "", remedy)
}

/// Starts the threads that read or decode files, whichever card they are for. They end with the last sender.
fn start_workers(settings: CudaSettings) -> io::Result<Sender<Row>> {
    let num_workers = settings.num_workers;
    let (rows, queue) = bounded::<Row>(num_workers * QUEUED_PER_WORKER);
    for number in 0..num_workers {
        let queue = queue.clone();
        let named = thread::Builder::new().name(format!("worker-{number}"));
        named.spawn(move || work(settings.pixel_limit, &queue))?;
    }
    Ok(rows)
}

/// Starts the thread that waits for what the card makes.
fn start_arrivals(in_flight: &Arc<InFlight>, arriving: Receiver<Sealed>) -> io::Result<()> {
    let weak = Arc::downgrade(in_flight);
    let mut maker = RowMaker::new(in_flight.settings.pixel_limit);
    let arrive = move || {
        for sealed in arriving {
            let Some(in_flight) = weak.upgrade() else {
                break;
            };
            in_flight.arrive(sealed, &mut maker);
        }
    };
    let named = thread::Builder::new().name("card".into());
    named.spawn(arrive).map(drop)
}

impl Engine for CudaEngine {
    fn submit(&self, job: BatchJob) {
        let Some(batch) = self.in_flight.begin(job) else {
            return;
        };
        let batch = Arc::new(batch);
        // All rows exist before the first is sent: one that cannot be sent still closes.
        let rows: Vec<Row> = (0..batch.sample_ids.len())
            .map(|index| Row {
                in_flight: Arc::clone(&self.in_flight),
                batch: Arc::clone(&batch),
                index,
                is_placed: false,
            })
            .collect();
        for row in rows {
            // Refused where every worker is gone; then the row is dropped.
            let _ = self.rows.send(row);
        }
    }

    fn beside(&self, card: CardId) -> Result<Arc<dyn Engine>, Reason> {
        let device = loader_card::device_of(card)?;
        let other = CudaEngine::on(
            Card::open(device)?,
            self.in_flight.settings,
            self.rows.clone(),
        );
        Ok(Arc::new(other?))
    }

    fn card_memory(&self, num_bytes: usize) -> Result<ExportedMemory, Reason> {
        match self.in_flight.has_failed.load(Ordering::Acquire) {
            true => Err(self.in_flight.no_memory()),
            false => self.in_flight.card.memory_to_share(num_bytes),
        }
    }

    fn card(&self) -> Option<CardId> {
        self.in_flight.card.id().ok()
    }

    fn in_flight_bytes(&self) -> u64 {
        self.in_flight.card.taken().load(Ordering::Relaxed)
    }

    fn describe(&self) -> String {
        let threads = self.in_flight.settings.num_workers;
        let (name, nvjpeg) = (self.in_flight.card.name(), &self.in_flight.nvjpeg);
        if self.in_flight.has_failed.load(Ordering::Relaxed) {
            return format!("{threads} CPU threads ({name} has failed)");
        }
        match self.in_flight.has_decoders.load(Ordering::Relaxed) {
            true => {
                format!("{name}, JPEGs decoded by {nvjpeg}, other images by {threads} CPU threads")
            }
            false => format!("{name}, images decoded by {threads} CPU threads ({nvjpeg})"),
        }
    }

    fn routes(&self) -> Vec<RouteCount> {
        let count = |route: &str, num_images: &AtomicU64| RouteCount {
            route: route.to_owned(),
            num_images: num_images.load(Ordering::Relaxed),
        };
        vec![
            count("decoded by the card's engines", &self.in_flight.by_engines),
            count(
                "decoded by nvJPEG's hybrid back end",
                &self.in_flight.by_hybrid,
            ),
            count(
                "decoded by the CPU, views by the card",
                &self.in_flight.on_card,
            ),
            count("all by the CPU", &self.in_flight.on_cpu),
        ]
    }
}

/// A row that panics costs its stream, not the thread.
fn work(pixel_limit: u64, queue: &Receiver<Row>) {
    let mut maker = RowMaker::new(pixel_limit);
    for mut row in queue {
        let card_decodes = row.in_flight.has_decoders.load(Ordering::Relaxed);
        let mut fill = || row.is_placed = maker.fill(&row.batch, row.index, card_decodes);
        if panic::catch_unwind(AssertUnwindSafe(&mut fill)).is_err() {
            maker = RowMaker::new(pixel_limit);
        }
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        if !self.is_placed {
            self.batch.abandon();
        }
        if let Some(sealed) = self.batch.close_row() {
            self.in_flight.depart(sealed);
        }
    }
}
