//! Signals: the first asks the run to stop after its step, the second stops it at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;

use crate::failure::{EXIT_STOPPED, Failure};

/// Set once a signal came; shared with the signal handlers.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    asked: Arc<AtomicBool>,
}

impl Stop {
    /// Listens to SIGINT, SIGTERM and SIGUSR1 from now on.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn install() -> Result<Stop, Failure> {
        let stop = Stop::default();
        for signal in [SIGINT, SIGTERM, SIGUSR1] {
            // The order matters: the conditional exit comes first, so it sees the flag of an *earlier* signal only.
            flag::register_conditional_shutdown(signal, EXIT_STOPPED, Arc::clone(&stop.asked))
                .and_then(|_| flag::register(signal, Arc::clone(&stop.asked)))
                .map_err(|error| {
                    Failure::Resources(format!(
                        "cannot listen to signal {signal}: {error}; this process; check its limits"
                    ))
                })?;
        }
        Ok(stop)
    }

    /// Whether a stop was asked for.
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}
