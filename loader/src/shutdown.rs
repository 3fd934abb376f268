//! One place that says whether the daemon should stop, and why.
//!
//! Signals, the last user's end, and a spent failure budget all come here; the first reason counts.

use std::sync::{Arc, OnceLock};
use std::thread;

use crossbeam::channel::{Receiver, Sender, bounded};
use loader_ipc::{ErrorKind, Reason};
use signal_hook::iterator::Signals;

/// Why the daemon stops, in the words that its subscribers are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// Somebody asked for it. To subscribers the daemon is a lost peer.
    Asked(Reason),
    /// More samples are bad than are allowed.
    OverBudget(Reason),
    /// The data, or what the machine has, do not suffice.
    Failed(Reason),
}

/// A handle that any thread may pull.
#[derive(Debug, Clone)]
pub struct Shutdown {
    stop: Arc<OnceLock<Stop>>,
    wake: Sender<()>,
}

impl Shutdown {
    /// A handle, and what wakes up when it is pulled.
    pub fn new() -> (Shutdown, Receiver<()>) {
        let (wake, woken) = bounded(1);
        (
            Shutdown {
                stop: Arc::default(),
                wake,
            },
            woken,
        )
    }

    /// Asks the daemon to stop; the first reason wins.
    pub fn trigger(&self, stop: Stop) {
        if self.stop.set(stop).is_ok() {
            // Full means that somebody has woken it already.
            let _ = self.wake.try_send(());
        }
    }

    /// The reason to stop, once there is one.
    pub fn stop(&self) -> Option<&Stop> {
        self.stop.get()
    }

    /// True once the daemon should stop.
    pub fn is_triggered(&self) -> bool {
        self.stop.get().is_some()
    }

    /// Stops on [`signals::asking`]. A second SIGINT or SIGTERM ends the process at once.
    ///
    /// # Errors
    /// When signals cannot be taken over.
    pub fn on_signals(&self) -> std::io::Result<()> {
        let mut coming = Signals::new(signals::asking())?;
        let shutdown = self.clone();
        thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                for signal in coming.forever() {
                    if shutdown.is_triggered() && signals::is_urgent_again(signal) {
                        std::process::exit(128 + signal);
                    }
                    shutdown.trigger(Stop::asked_by("a signal"));
                }
            })?;
        Ok(())
    }
}

impl Stop {
    fn asked_by(whose: &str) -> Stop {
        let what = format!("the loader was stopped by {whose}");
        let remedy = "start it again, then resume";
        Stop::Asked(Reason::new(ErrorKind::PeerLost, what, "", remedy))
    }

    /// Nobody is left to serve.
    pub fn unused() -> Stop {
        Stop::asked_by("the end of its last user")
    }

    /// The words.
    pub fn reason(&self) -> &Reason {
        match self {
            Stop::Asked(reason) | Stop::OverBudget(reason) | Stop::Failed(reason) => reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_wins_and_wakes_once() {
        let (shutdown, woken) = Shutdown::new();
        assert!(!shutdown.is_triggered());
        let rot = Stop::Failed(Reason::new(ErrorKind::Data, "rot", "", ""));
        shutdown.trigger(rot.clone());
        shutdown.trigger(Stop::asked_by("a signal"));
        assert_eq!(shutdown.stop(), Some(&rot));
        assert!(woken.try_recv().is_ok() && woken.try_recv().is_err());
    }
}
