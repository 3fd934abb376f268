//! The driver: which cards there are, and making one the thread's for a moment.
#![allow(unsafe_code)]

use std::sync::Arc;

use cudarc::driver::{CudaContext, result, sys};
use loader_ipc::{CardId, ErrorKind, Reason};

use crate::error::{CardError, failed};

/// A context that is the thread's, whose calls do not end the capture of a graph in another thread. When this is dropped the thread has what it had before: a
/// program may have several cards, and contexts of its own.
pub(crate) struct Bound {
    before: sys::CUcontext,
    capture: sys::CUstreamCaptureMode,
}

/// The card that CUDA calls number `device` in this process.
///
/// # Errors
/// Why the driver tells none.
pub fn card_of_device(device: usize) -> Result<CardId, Reason> {
    check_present()?;
    let asked = number_of_devices().and_then(|num_devices| match device < num_devices {
        true => id_of(device).map(Some),
        false => Ok(None),
    });
    let card = asked.map_err(|error| unusable(&error))?;
    card.ok_or_else(|| missing(&format!("device {device}")))
}

/// The primary context of a card, which libraries of the same process use as well. It becomes the calling thread's.
///
/// # Errors
/// Why there is none, above all that the card is hidden from this process.
pub fn context_of(card: CardId) -> Result<Arc<CudaContext>, Reason> {
    let context = CudaContext::new(device_of(card)?).map_err(failed("opening the card"));
    context.map_err(|error| unusable(&error))
}

/// The number that CUDA has for a card in this process.
///
/// # Errors
/// That it is hidden from this process, or that there is no driver.
pub fn device_of(card: CardId) -> Result<usize, Reason> {
    check_present()?;
    let find = || {
        for device in 0..number_of_devices()? {
            if id_of(device)? == card {
                return Ok(Some(device));
            }
        }
        Ok(None)
    };
    let found = find().map_err(|error: CardError| unusable(&error))?;
    found.ok_or_else(|| missing(&card.to_string()))
}

/// The UUID of an open card.
///
/// # Errors
/// When the driver tells none.
pub fn id_of_context(context: &CudaContext) -> Result<CardId, CardError> {
    id_of(context.ordinal())
}

impl Bound {
    pub(crate) fn to(context: &CudaContext) -> Result<Bound, CardError> {
        let restored = Bound::new();
        let bound = context.bind_to_thread();
        bound.map_err(failed("making the card this thread's"))?;
        Ok(restored)
    }

    /// Whatever the thread has, to be changed by what is done while this lives.
    pub(crate) fn new() -> Bound {
        let before = result::ctx::get_current().ok().flatten();
        Bound {
            before: before.unwrap_or(std::ptr::null_mut()),
            capture: exchanged(sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED),
        }
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        exchanged(self.capture);
        // SAFETY: it was this thread's a moment ago. A driver that refuses has failed, which the next call tells.
        let _ = unsafe { sys::cuCtxSetCurrent(self.before) };
    }
}

/// Sets how the thread's calls bear on captures, and gives what it was.
fn exchanged(mode: sys::CUstreamCaptureMode) -> sys::CUstreamCaptureMode {
    let mut other = mode;
    // SAFETY: the driver reads and writes the one value.
    let _ = unsafe { sys::cuThreadExchangeStreamCaptureMode(&raw mut other) };
    other
}

fn number_of_devices() -> Result<usize, CardError> {
    let started = result::init().map_err(failed("starting the driver"));
    match started {
        Err(error) if error.is_no_device() => return Ok(0),
        started => started?,
    }
    let num_devices = result::device::get_count().map_err(failed("counting the cards"))?;
    Ok(num_devices as usize)
}

fn id_of(device: usize) -> Result<CardId, CardError> {
    let id = result::device::get(device as i32).and_then(result::device::get_uuid);
    let id = id.map_err(failed("asking for a card's UUID"))?;
    Ok(CardId(id.bytes.map(|byte| byte as u8)))
}

pub(crate) fn check_present() -> Result<(), Reason> {
    // SAFETY: the driver does nothing when it is loaded.
    if unsafe { sys::is_culib_present() } {
        return Ok(());
    }
    let what = "there is no NVIDIA driver";
    let remedy = "run it where libcuda.so.1 is (in containers: --gpus all), or take the views in memory of the host";
    Err(Reason::new(ErrorKind::Library, what, "", remedy))
}

fn missing(card: &str) -> Reason {
    let what = "the card is not there, or hidden from this process";
    let remedy = "see nvidia-smi -L and CUDA_VISIBLE_DEVICES on both sides";
    Reason::new(ErrorKind::Library, what, card, remedy)
}

fn unusable(error: &CardError) -> Reason {
    let (what, place) = ("the card cannot be used", error.to_string());
    let remedy = "see nvidia-smi and the driver's messages (dmesg)";
    Reason::new(ErrorKind::Library, what, place, remedy)
}
