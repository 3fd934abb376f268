//! What goes wrong with a card.

use std::time::Duration;

use cudarc::driver::DriverError;
use cudarc::driver::sys::CUresult;
use loader_ipc::{ErrorKind, Reason};

/// A call of the driver that failed, or work that the card has not done in time.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{what} {cause}")]
pub struct CardError {
    what: &'static str,
    cause: Cause,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Cause {
    #[error("failed: {:?}", .0.0)]
    Driver(DriverError),
    #[error("took more than {} s: the card hangs", .0.as_secs())]
    TimedOut(Duration),
}

impl CardError {
    /// Whether there is too little memory on the card, or too little that it may read.
    pub fn is_out_of_memory(&self) -> bool {
        self.is(CUresult::CUDA_ERROR_OUT_OF_MEMORY)
    }

    /// Whether the driver finds no card.
    pub fn is_no_device(&self) -> bool {
        self.is(CUresult::CUDA_ERROR_NO_DEVICE)
    }

    /// Whether the card hangs: it has not failed, and may yet do what it was asked for.
    pub fn is_timed_out(&self) -> bool {
        matches!(self.cause, Cause::TimedOut(_))
    }

    pub(crate) fn timed_out(what: &'static str, patience: Duration) -> CardError {
        let cause = Cause::TimedOut(patience);
        CardError { what, cause }
    }

    fn is(&self, result: CUresult) -> bool {
        self.cause == Cause::Driver(DriverError(result))
    }

    /// What it means that memory is not shared: of `place`, what to do being said by `remedy`.
    pub(crate) fn not_shared(&self, place: String, remedy: &str) -> Reason {
        let what = format!("memory of the card is not shared: {self}");
        Reason::new(ErrorKind::Library, what, place, remedy)
    }
}

/// Says what was being done when the driver failed.
pub fn failed(what: &'static str) -> impl FnOnce(DriverError) -> CardError {
    move |error| CardError {
        what,
        cause: Cause::Driver(error),
    }
}
