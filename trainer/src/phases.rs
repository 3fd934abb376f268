//! Where the time of a step goes, for `trainer bench`. Runs without a recording cost one look at a thread's own flag.
//!
//! A phase is named where it happens. It waits for the device at both ends while a recording runs, and never otherwise: a step that is
//! trained on has no synchronisation here. Phases do not nest.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use tch::{Cuda, Device};

/// Gradients of the loss.
pub const BACKWARD: &str = "backward";
/// New parameters from gradients.
pub const OPTIMISER: &str = "optimiser";
/// The teacher's moving average.
pub const AVERAGE: &str = "average";

/// Phases with the time spent in each.
pub type Phases = Vec<(&'static str, Duration)>;

struct Recording {
    device: Device,
    phases: Phases,
}

thread_local! {
    static RECORDING: RefCell<Option<Recording>> = const { RefCell::new(None) };
}

/// Does `work` as part of a phase.
pub fn timed<T>(phase: &'static str, work: impl FnOnce() -> T) -> T {
    let device = RECORDING.with_borrow(|recording| recording.as_ref().map(|one| one.device));
    let Some(device) = device else {
        return work();
    };
    wait_for(device);
    let start = Instant::now();
    let done = work();
    wait_for(device);
    let took = start.elapsed();
    RECORDING.with_borrow_mut(|recording| {
        recording
            .iter_mut()
            .for_each(|one| one.phases.push((phase, took)));
    });
    done
}

/// Does `work` without phases, as nothing may be waited for in it.
pub fn paused<T>(work: impl FnOnce() -> T) -> T {
    let recording = RECORDING.take();
    let done = work();
    RECORDING.set(recording);
    done
}

/// Does `work` and tells the phases that this thread went through on the way.
pub fn recorded<T>(device: Device, work: impl FnOnce() -> T) -> (T, Phases) {
    let recording = Recording {
        device,
        phases: Vec::new(),
    };
    RECORDING.set(Some(recording));
    let done = work();
    let recording = RECORDING.take();
    (done, recording.map_or(Vec::new(), |one| one.phases))
}

/// Waits until the device has done all that was asked of it.
fn wait_for(device: Device) {
    if let Device::Cuda(index) = device {
        Cuda::synchronize(index as i64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_recorded_in_order_and_only_while_asked_for() {
        timed(BACKWARD, || ());
        let (done, phases) = recorded(Device::Cpu, || {
            timed(BACKWARD, || ());
            timed(AVERAGE, || 3)
        });
        let names: Vec<_> = phases.iter().map(|(name, _)| *name).collect();
        assert_eq!((done, names), (3, vec![BACKWARD, AVERAGE]));
        let (_, phases) = recorded(Device::Cpu, || ());
        assert!(phases.is_empty());
    }
}
