//! Signals: the first asks the run to stop after its step, the second stops it at once. A file that grows too large
//! (`ulimit -f`) is a full disk and no reason to die.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
use signal_hook::flag;

use crate::failure::{EXIT_STOPPED, Failure};

/// What asks a run to stop: a person, a terminal that closes, a scheduler.
const ASKING: [i32; 5] = [SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2];

/// Set once a signal came; shared with the signal handlers.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    asked: Arc<AtomicBool>,
}

impl Stop {
    /// Listens to SIGINT, SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 from now on; a SIGHUP that is ignored (`nohup`) stays so.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn install() -> Result<Stop, Failure> {
        let stop = Stop::default();
        for signal in ASKING {
            if signal == SIGHUP && is_ignored(SIGHUP) {
                continue;
            }
            // The order matters: the conditional exit comes first, so it sees the flag of an *earlier* signal only.
            flag::register_conditional_shutdown(signal, EXIT_STOPPED, Arc::clone(&stop.asked))
                .and_then(|_| flag::register(signal, Arc::clone(&stop.asked)))
                .map_err(refused(signal))?;
        }
        // With any handler at all the write that was too much returns an error.
        flag::register(SIGXFSZ, Arc::default()).map_err(refused(SIGXFSZ))?;
        Ok(stop)
    }

    /// Whether a stop was asked for.
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

fn refused(signal: i32) -> impl FnOnce(std::io::Error) -> Failure {
    move |error| {
        Failure::Resources(format!(
            "cannot listen to signal {signal}: {error}; this process; check its limits"
        ))
    }
}

/// Whether this process was started with a signal ignored.
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
