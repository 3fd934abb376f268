//! What goes wrong with a card.

use cudarc::driver::DriverError;
use cudarc::driver::sys::CUresult;

/// A call of the driver that failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{what} failed: {:?}", .error.0)]
pub(super) struct CardError {
    what: &'static str,
    error: DriverError,
}

impl CardError {
    /// Whether there is too little memory on the card, or too little that it may read.
    pub(super) fn is_out_of_memory(&self) -> bool {
        self.error.0 == CUresult::CUDA_ERROR_OUT_OF_MEMORY
    }

    /// Whether the driver finds no card.
    pub(super) fn is_no_device(&self) -> bool {
        self.error.0 == CUresult::CUDA_ERROR_NO_DEVICE
    }
}

/// Says what was being done when the driver failed.
pub(super) fn failed(what: &'static str) -> impl FnOnce(DriverError) -> CardError {
    move |error| CardError { what, error }
}
