//! What the system must allow before a run begins: threads and open files.
//!
//! Where libtorch gets no thread it waits for ever or exits without a word, and a lack of descriptors shows in odd places of
//! whatever needed the last one. So both are tried first.

use std::fs;
use std::io;
use std::sync::RwLock;
use std::thread;

use rustix::process::{Resource, getrlimit};

use crate::failure::Failure;

/// Descriptors that a run opens at most at one time: libraries, its files, three streams of the loader.
const NUM_FILES: u64 = 48;
/// Threads beside those of libtorch's two pools.
const NUM_OTHER_THREADS: usize = 2;

/// Tries whether a run with this many computing threads is possible.
///
/// # Errors
/// [`Failure::Resources`] with the limit to raise.
pub fn check(num_computing: usize) -> Result<(), Failure> {
    let num_threads = 2 * num_computing + NUM_OTHER_THREADS;
    start_threads(num_threads).map_err(|error| {
        Failure::Resources(format!(
            "too few threads: {error}; {num_threads} more are needed by this process; raise the limit of the user (ulimit -u) or of the \
             container (pids)"
        ))
    })?;
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let num_open = fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64);
    if limit < num_open + NUM_FILES {
        return Err(Failure::Resources(format!(
            "too few open files: {limit} are allowed and {num_open} open; {NUM_FILES} more are needed by this process; raise the limit \
             (ulimit -n 1024)"
        )));
    }
    Ok(())
}

/// Starts so many threads at once and ends them.
fn start_threads(count: usize) -> io::Result<()> {
    let gate = RwLock::new(());
    thread::scope(|scope| {
        let closed = gate.write();
        let waits = || drop(gate.read());
        let start = |_| thread::Builder::new().spawn_scoped(scope, waits);
        let started: io::Result<Vec<_>> = (0..count).map(start).collect();
        drop(closed);
        started.map(drop)
    })
}
