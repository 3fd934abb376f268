//! The driver: which cards there are, and making one the thread's for a moment.
#![allow(unsafe_code)]

use std::sync::Arc;

use cudarc::driver::{CudaContext, result, sys};
use loader_ipc::{CardId, ErrorKind, Reason};

use crate::error::{CardError, failed};

/// The thread's context as it was; it is so again when this is dropped. A program may have several cards, and its thread one that is not ours.
pub(crate) struct Restored {
    before: Option<sys::CUcontext>,
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
    check_present()?;
    let find = || {
        for device in 0..number_of_devices()? {
            if id_of(device)? == card {
                let context = CudaContext::new(device).map_err(failed("opening the card"))?;
                return Ok(Some(context));
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

impl Restored {
    /// Makes `context` the thread's.
    pub(crate) fn after_binding(context: &CudaContext) -> Result<Restored, CardError> {
        let restored = Restored::new();
        let bound = context.bind_to_thread();
        bound.map_err(failed("making the card this thread's"))?;
        Ok(restored)
    }

    /// Keeps whatever the thread has.
    pub(crate) fn new() -> Restored {
        let before = result::ctx::get_current();
        Restored {
            before: before
                .ok()
                .map(|context| context.unwrap_or(std::ptr::null_mut())),
        }
    }
}

impl Drop for Restored {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            // SAFETY: it was this thread's a moment ago. A driver that refuses has failed, which the next call tells.
            let _ = unsafe { sys::cuCtxSetCurrent(before) };
        }
    }
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

fn check_present() -> Result<(), Reason> {
    // SAFETY: the driver does nothing when it is loaded.
    if unsafe { sys::is_culib_present() } {
        return Ok(());
    }
    let remedy = "run it where libcuda.so.1 is (in containers: --gpus all), or take the views in memory of the host";
    Err(Reason::new(
        ErrorKind::Library,
        "there is no NVIDIA driver",
        "",
        remedy,
    ))
}

fn missing(card: &str) -> Reason {
    let remedy = "see nvidia-smi -L and CUDA_VISIBLE_DEVICES on both sides";
    Reason::new(
        ErrorKind::Library,
        "the card is not there, or hidden from this process",
        card,
        remedy,
    )
}

fn unusable(error: &CardError) -> Reason {
    let remedy = "see nvidia-smi and the driver's messages (dmesg)";
    Reason::new(
        ErrorKind::Library,
        "the card cannot be used",
        error.to_string(),
        remedy,
    )
}
