//! Signals that ask for an end: a flag that long work looks at between two files. A second Ctrl-C or SIGTERM ends the process.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::flag;

/// Whether the user wants an end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interrupt {
    wanted: Arc<AtomicBool>,
}

impl Interrupt {
    /// Watches for signals from now on.
    pub(crate) fn watch() -> io::Result<Self> {
        let interrupt = Self::default();
        for signal in signals::asking() {
            let wanted = || interrupt.wanted.clone();
            if signals::is_urgent_again(signal) {
                // The order matters: at the second signal the flag is set already, and the process ends.
                flag::register_conditional_shutdown(signal, 128 + signal, wanted())?;
            }
            flag::register(signal, wanted())?;
        }
        Ok(interrupt)
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }
}
