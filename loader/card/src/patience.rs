//! Waiting for a card, with an end. One that hangs answers questions, but is never done; a call of the driver that waits for it would not come back.
//!
//! So whoever waits asks, again and again, and sleeps for a sixteenth of the time that it has waited in between: nothing is noticed later than that, and who waits
//! for 20 ms has asked about seventy times. A watchdog beside threads that wait in the driver would cost less, but could not free them, nor what they hold;
//! it would have to take that away from them.
//!
//! Once a card was waited for in vain, nobody in this process waits for it again, and nothing that it may use is given back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use cudarc::driver::{CudaContext, DriverError};

use crate::error::{CardError, failed};
use crate::fence::Fence;

/// How long a card may take for what it needs milliseconds for, also if others use it, too. Half a minute is half of what programs commonly wait for a batch,
/// so they get it from whoever takes the card's place. The variable `SSLIGHT_CARD_PATIENCE`, a number of seconds, is for tools under which a card is slow; anything
/// else is as if it were not set.
pub fn patience() -> Duration {
    static PATIENCE: LazyLock<Duration> = LazyLock::new(|| {
        let seconds = std::env::var("SSLIGHT_CARD_PATIENCE").ok();
        let seconds = seconds.and_then(|seconds| seconds.parse().ok());
        Duration::from_secs(seconds.unwrap_or(30))
    });
    *PATIENCE
}

/// The shortest and the longest sleep between two questions.
const INTERVALS: [Duration; 2] = [Duration::from_micros(50), Duration::from_millis(1)];
/// The part of the time waited so far that is slept between two questions.
const PART: u32 = 16;

/// The cards that hang, one bit for each number. Those from 63 on share one.
static HANGING: AtomicU64 = AtomicU64::new(0);

/// Waits until a card has done something, at most for [`patience`]. Its context becomes the thread's.
///
/// # Errors
/// That asking failed, or that the card hangs.
pub fn wait(
    context: &CudaContext,
    what: &'static str,
    is_done: impl FnMut() -> Result<bool, DriverError>,
) -> Result<(), CardError> {
    context.bind_to_thread().map_err(failed(what))?;
    let most = match hangs(context) {
        true => Duration::ZERO,
        false => patience(),
    };
    if wait_at_most(most, is_done).map_err(failed(what))? {
        return Ok(());
    }
    HANGING.fetch_or(bit(context), Ordering::AcqRel);
    Err(CardError::timed_out(what, patience()))
}

/// Waits until a card has done all that any stream has by now, as [`wait`] does.
///
/// # Errors
/// As there.
pub fn wait_for_all(context: &Arc<CudaContext>) -> Result<(), CardError> {
    let what = "waiting for all streams";
    context.bind_to_thread().map_err(failed(what))?;
    let fence = Fence::record_all(context)?;
    wait(context, what, || fence.asked())
}

/// Whether somebody has waited for the card in vain.
pub fn hangs(context: &CudaContext) -> bool {
    HANGING.load(Ordering::Acquire) & bit(context) != 0
}

/// Refuses to use a card that hangs.
///
/// # Errors
/// That it does.
pub fn check_answers(context: &CudaContext) -> Result<(), CardError> {
    match hangs(context) {
        true => Err(CardError::timed_out("waiting for the card", patience())),
        false => Ok(()),
    }
}

fn bit(context: &CudaContext) -> u64 {
    1 << context.ordinal().min(63)
}

/// Asks until it is done; `false` where it is not in time. Asks once at least.
pub(crate) fn wait_at_most<E>(
    patience: Duration,
    mut is_done: impl FnMut() -> Result<bool, E>,
) -> Result<bool, E> {
    let start = Instant::now();
    loop {
        if is_done()? {
            return Ok(true);
        }
        let waited = start.elapsed();
        let Some(left) = patience.checked_sub(waited).filter(|left| !left.is_zero()) else {
            return Ok(false);
        };
        let [shortest, longest] = INTERVALS;
        thread::sleep((waited / PART).clamp(shortest, longest).min(left));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_when_it_is_done_when_asking_fails_and_when_patience_does() {
        let after = |num: u32| {
            let mut num_asked = 0;
            let ask = move || {
                num_asked += 1;
                match num_asked {
                    9 => Err("broken"),
                    it => Ok(it == num),
                }
            };
            wait_at_most(patience(), ask)
        };
        assert_eq!(after(1), Ok(true));
        assert_eq!(after(8), Ok(true));
        assert_eq!(after(10), Err("broken"));
        let never = || Ok::<bool, ()>(false);
        assert_eq!(wait_at_most(Duration::from_millis(3), never), Ok(false));
        assert_eq!(
            wait_at_most(Duration::ZERO, || Ok::<bool, ()>(true)),
            Ok(true)
        );
    }
}
