//! How many threads a command starts.

use std::thread;

/// For work that keeps a processor busy: as many as this process may use.
pub(crate) fn for_computing() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// For work that also waits for the disk: twice as many.
pub(crate) fn for_files() -> usize {
    (2 * for_computing()).clamp(2, 32)
}
