//! The worker threads and their one queue.
//!
//! The queue is bounded, so a stream can run at most that far ahead. Jobs exist only for reserved slots, so a worker never
//! waits for a subscriber, and a slow subscriber cannot hold up another.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::thread;

use crossbeam::channel::{Receiver, SendError, Sender, bounded};

use crate::pipeline::worker::{Job, Worker};

/// Jobs that wait per worker: enough to never starve one, few enough to share fairly between streams.
const QUEUED_PER_WORKER: usize = 4;

/// A running pool. Its threads end when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Pool {
    jobs: Sender<Job>,
    num_workers: usize,
}

impl Pool {
    /// Starts `num_workers` threads.
    ///
    /// # Errors
    /// When a thread cannot be had.
    pub fn start(num_workers: usize, pixel_limit: u64) -> io::Result<Pool> {
        let (jobs, queue) = bounded(num_workers * QUEUED_PER_WORKER);
        for number in 0..num_workers {
            let worker = Worker::new(pixel_limit);
            let queue = queue.clone();
            thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || work(worker, pixel_limit, &queue))?;
        }
        Ok(Pool { jobs, num_workers })
    }

    /// Number of worker threads.
    pub fn num_workers(&self) -> usize {
        self.num_workers
    }

    /// Queues a job, waiting while the queue is full.
    ///
    /// # Errors
    /// Returns the job when every worker is gone.
    pub fn submit(&self, job: Job) -> Result<(), Box<SendError<Job>>> {
        self.jobs.send(job).map_err(Box::new)
    }
}

/// A job that panics costs its stream (the unfinished row aborts the ring), not the thread: the worker is made anew.
fn work(mut worker: Worker, pixel_limit: u64, queue: &Receiver<Job>) {
    for job in queue {
        if panic::catch_unwind(AssertUnwindSafe(|| worker.run(job))).is_err() {
            worker = Worker::new(pixel_limit);
        }
    }
}
