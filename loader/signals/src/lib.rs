//! Which signals ask a program to end in order, the same for all programs, and what those become that would end it without a word.

use std::fs;
use std::io;
use std::sync::{Arc, mpsc};
use std::thread;

use signal_hook::consts::{SIGBUS, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
use signal_hook::iterator::Signals;

/// Sent by a person, a terminal that closes, or a scheduler. SIGHUP is not among them where it is ignored from the start: whoever said
/// `nohup` wants the program to go on.
pub fn asking() -> impl Iterator<Item = i32> {
    let all = [SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2];
    let keeps_hup = is_ignored(SIGHUP);
    all.into_iter()
        .filter(move |signal| *signal != SIGHUP || !keeps_hup)
}

/// Whether a second one of this signal means: at once. A terminal that closes may send two, and schedulers repeat theirs.
pub fn is_urgent_again(signal: i32) -> bool {
    matches!(signal, SIGINT | SIGTERM)
}

/// Makes a file that would grow beyond its limit (`ulimit -f`) an error of that write rather than the end of the process.
///
/// # Errors
/// When the signal cannot be taken over.
pub fn outlive_file_size_limit() -> io::Result<()> {
    signal_hook::flag::register(SIGXFSZ, Arc::default()).map(drop)
}

/// Calls `end`, which has to end the process or to have it ended, where a mapped file turns out to be shorter than it was, or cannot be read. Else
/// the system would end it without a word; now whoever touched the file waits, busily, for the end of the process, and holds what it holds.
///
/// # Errors
/// When no thread can be had for it.
pub fn on_lost_bytes(end: impl FnOnce() + Send + 'static) -> io::Result<()> {
    // Only who waits for the signal takes it over: with nobody to call `end`, the process would touch the file for ever.
    let (waiting, is_waiting) = mpsc::channel::<()>();
    let wait = move || {
        forget_handler_of_std();
        let lost = Signals::new([SIGBUS]);
        drop(waiting);
        if lost.is_ok_and(|mut lost| lost.forever().next().is_some()) {
            end();
        }
    };
    thread::Builder::new().spawn(wait)?;
    // Comes back when the sender is dropped.
    let _ = is_waiting.recv();
    Ok(())
}

/// The standard library's handler, which looks for overflows of the stack (SIGSEGV on Linux), would be called first and end the process.
#[allow(unsafe_code)]
fn forget_handler_of_std() {
    // SAFETY: no handler of ours is there yet, and the default disposition runs none of our code.
    unsafe { libc::signal(SIGBUS, libc::SIG_DFL) };
}

/// Whether this process was started with the signal ignored.
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
