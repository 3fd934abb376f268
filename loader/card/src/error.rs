//! What goes wrong with a card.

use cudarc::driver::DriverError;
use cudarc::driver::sys::CUresult;
use loader_ipc::{ErrorKind, Reason};

/// A call of the driver that failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{what} failed: {:?}", .error.0)]
pub struct CardError {
    what: &'static str,
    error: DriverError,
}

impl CardError {
    /// Whether there is too little memory on the card, or too little that it may read.
    pub fn is_out_of_memory(&self) -> bool {
        self.error.0 == CUresult::CUDA_ERROR_OUT_OF_MEMORY
    }

    /// Whether the driver finds no card.
    pub fn is_no_device(&self) -> bool {
        self.error.0 == CUresult::CUDA_ERROR_NO_DEVICE
    }

    /// What it means that memory is not shared: of `place`, what to do being said by `remedy`.
    pub(crate) fn not_shared(&self, place: String, remedy: &str) -> Reason {
        let what = format!("memory of the card is not shared: {self}");
        Reason::new(ErrorKind::Library, what, place, remedy)
    }
}

/// Says what was being done when the driver failed.
pub fn failed(what: &'static str) -> impl FnOnce(DriverError) -> CardError {
    move |error| CardError { what, error }
}
