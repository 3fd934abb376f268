//! The worker threads and their one queue of rows.
//!
//! The queue is bounded, so a stream can run at most that far ahead. Rows exist only of reserved slots, so a worker never
//! waits for a subscriber, and a slow subscriber cannot hold up another.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::thread;

use crossbeam::channel::{Receiver, Sender, bounded};

use crate::pipeline::cpu::worker::{Row, Worker};
use crate::pipeline::engine::{BatchJob, Engine};

/// Rows that wait per worker: enough to never starve one, few enough to share fairly between streams.
const QUEUED_PER_WORKER: usize = 4;

/// A running pool. Its threads end when it is dropped.
#[derive(Debug)]
pub struct Pool {
    rows: Sender<Row>,
    num_workers: usize,
}

impl Pool {
    /// Starts `num_workers` threads.
    ///
    /// # Errors
    /// When a thread cannot be had.
    pub fn start(num_workers: usize, pixel_limit: u64) -> io::Result<Pool> {
        let (rows, queue) = bounded(num_workers * QUEUED_PER_WORKER);
        for number in 0..num_workers {
            let worker = Worker::new(pixel_limit);
            let queue = queue.clone();
            thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || work(worker, pixel_limit, &queue))?;
        }
        Ok(Pool { rows, num_workers })
    }
}

impl Engine for Pool {
    fn submit(&self, job: BatchJob) {
        let epoch = job.head.epoch as u32;
        for (planned, writer) in job.sample_ids.into_iter().zip(job.slot.split(job.head)) {
            let stream = Arc::clone(&job.stream);
            let row = Row {
                stream,
                epoch,
                planned,
                writer,
            };
            // Refused where every worker is gone: then this row and those after it are dropped.
            if self.rows.send(row).is_err() {
                break;
            }
        }
    }

    fn describe(&self) -> String {
        match self.num_workers {
            1 => "1 CPU thread".to_owned(),
            several => format!("{several} CPU threads"),
        }
    }
}

/// A row that panics costs its stream (the unfinished slot aborts the ring), not the thread: the worker is made anew.
fn work(mut worker: Worker, pixel_limit: u64, queue: &Receiver<Row>) {
    for row in queue {
        if panic::catch_unwind(AssertUnwindSafe(|| worker.fill(row))).is_err() {
            worker = Worker::new(pixel_limit);
        }
    }
}
