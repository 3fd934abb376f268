//! Which signals ask a program to end in order, the same for all programs. What each does about them is its own.

use std::fs;
use std::io;
use std::sync::Arc;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};

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

/// Whether this process was started with the signal ignored.
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
