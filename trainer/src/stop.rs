//! Signals: the first asks the run to stop after its step, a second Ctrl-C or SIGTERM stops it at once. A file that grows too large
//! (`ulimit -f`) is a full disk and no reason to die.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::SIGXFSZ;
use signal_hook::flag;

use crate::failure::{EXIT_STOPPED, Failure};

/// Set once a signal came; shared with the signal handlers.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    asked: Arc<AtomicBool>,
}

impl Stop {
    /// Listens to [`signals::asking`] from now on.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn install() -> Result<Stop, Failure> {
        let stop = Stop::default();
        for signal in signals::asking() {
            let asked = || Arc::clone(&stop.asked);
            if signals::is_urgent_again(signal) {
                // The order matters: the conditional exit comes first, so it sees the flag of an *earlier* signal only.
                flag::register_conditional_shutdown(signal, EXIT_STOPPED, asked())
                    .map_err(refused(signal))?;
            }
            flag::register(signal, asked()).map_err(refused(signal))?;
        }
        signals::outlive_file_size_limit().map_err(refused(SIGXFSZ))?;
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
