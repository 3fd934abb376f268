//! The only door to atomics and to sleeping on them.
//!
//! A turn word lives in memory that two processes map, so the wait is a shared futex (no `PRIVATE` flag).

pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::thread::futex;

/// Sleeps until `word` is woken, changes from `seen`, or `timeout` has passed. May return early; the caller looks again.
pub(crate) fn wait(word: &AtomicU32, seen: u32, timeout: Duration) {
    let timeout = futex::Timespec::try_from(timeout).ok();
    // Every outcome (woken, changed, timed out, interrupted) has the same answer: look again.
    let _ = futex::wait(word, futex::Flags::empty(), seen, timeout.as_ref());
}

/// Wakes every sleeper on `word`, in all processes.
pub(crate) fn wake(word: &AtomicU32) {
    let _ = futex::wake(word, futex::Flags::empty(), i32::MAX as u32);
}
