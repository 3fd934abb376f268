//! An event on streams: whether they have done what they were asked for by then.
#![allow(unsafe_code)]

use std::sync::Arc;

use cudarc::driver::{CudaContext, DriverError, result, sys};

use crate::driver::Bound;
use crate::error::{CardError, failed};

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Fence {
    context: Arc<CudaContext>,
    event: sys::CUevent,
}

// SAFETY: the driver's events may be used by any thread.
unsafe impl Send for Fence {}

impl Fence {
    /// What is on the stream by now. The context is the thread's.
    pub(crate) fn record(context: &Arc<CudaContext>, stream: usize) -> Result<Fence, CardError> {
        let fence = Fence::new(context)?;
        let stream = std::ptr::with_exposed_provenance_mut::<sys::CUstream_st>(stream);
        // SAFETY: an event of ours, and a stream that lives, as whoever named it has promised.
        let recorded = unsafe { result::event::record(fence.event, stream) };
        recorded.map_err(failed("recording an event"))?;
        Ok(fence)
    }

    /// What is on all streams of the card by now. An event on the default stream would not tell: libraries make streams that it does not wait for.
    /// The context is the thread's.
    pub(crate) fn record_all(context: &Arc<CudaContext>) -> Result<Fence, CardError> {
        let fence = Fence::new(context)?;
        // SAFETY: both live.
        let recorded = unsafe { sys::cuCtxRecordEvent(context.cu_ctx(), fence.event) };
        let recorded = recorded.result();
        recorded.map_err(failed("recording an event of all streams"))?;
        Ok(fence)
    }

    fn new(context: &Arc<CudaContext>) -> Result<Fence, CardError> {
        let event = result::event::create(sys::CUevent_flags::CU_EVENT_DISABLE_TIMING);
        let event = event.map_err(failed("making an event"))?;
        let context = Arc::clone(context);
        Ok(Fence { context, event })
    }

    /// Whether all of that is done. It waits for nothing.
    pub(crate) fn is_passed(&self) -> Result<bool, CardError> {
        self.asked()
            .map_err(failed("asking whether streams are done"))
    }

    pub(crate) fn asked(&self) -> Result<bool, DriverError> {
        // SAFETY: an event of ours.
        match unsafe { result::event::query(self.event) } {
            Err(DriverError(sys::CUresult::CUDA_ERROR_NOT_READY)) => Ok(false),
            asked => asked.map(|()| true),
        }
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        if let Ok(_bound) = Bound::to(&self.context) {
            // SAFETY: an event of ours that is used no more.
            let _ = unsafe { result::event::destroy(self.event) };
        }
    }
}
