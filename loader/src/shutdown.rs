//! One place that says whether the daemon should stop, why, and with which exit code.
//!
//! Signals, a closed standard input, and a spent failure budget all come here; the first reason counts.

use std::io::Read;
use std::sync::{Arc, OnceLock};
use std::thread;

use crossbeam::channel::{Receiver, Sender, bounded};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Why the daemon stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// What, where, what to do.
    pub reason: String,
    /// Exit code of the daemon.
    pub exit_code: i32,
    /// Exit code that subscribers are told: to them a daemon stopped by request is a lost peer.
    pub subscriber_exit_code: i32,
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

    /// Stops on SIGINT or SIGTERM; a second signal ends the process at once.
    ///
    /// # Errors
    /// When signals cannot be taken over.
    pub fn on_signals(&self) -> std::io::Result<()> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let shutdown = self.clone();
        thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                for signal in signals.forever() {
                    if shutdown.is_triggered() {
                        std::process::exit(128 + signal);
                    }
                    shutdown.trigger(Stop::by_request("a signal"));
                }
            })?;
        Ok(())
    }

    /// Stops when standard input ends, so that a daemon dies with the process that started it.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn on_stdin_closed(&self) -> std::io::Result<()> {
        let shutdown = self.clone();
        thread::Builder::new().name("stdin".into()).spawn(move || {
            let mut ignored = [0; 64];
            while matches!(std::io::stdin().read(&mut ignored), Ok(read) if read > 0) {}
            shutdown.trigger(Stop::by_request("the end of standard input"));
        })?;
        Ok(())
    }
}

impl Stop {
    fn by_request(whose: &str) -> Stop {
        let reason = format!("the loader was stopped by {whose}; start it again, then resume");
        Stop {
            reason,
            exit_code: 0,
            subscriber_exit_code: 6,
        }
    }

    /// The data are at fault.
    pub fn bad_data(reason: String) -> Stop {
        Stop::for_everybody(3, reason)
    }

    /// Room or another resource is missing.
    pub fn no_resources(reason: String) -> Stop {
        Stop::for_everybody(4, reason)
    }

    fn for_everybody(exit_code: i32, reason: String) -> Stop {
        Stop {
            reason,
            exit_code,
            subscriber_exit_code: exit_code,
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
        shutdown.trigger(Stop::bad_data("rot".into()));
        shutdown.trigger(Stop::by_request("a signal"));
        assert_eq!(shutdown.stop().unwrap().exit_code, 3);
        assert!(woken.try_recv().is_ok() && woken.try_recv().is_err());
    }
}
