//! The hybrid back end: Huffman decoding on the calling thread, the rest on the card, one image after the other.
//!
//! Every image of a batch has a desk of its own, since the copy to the card runs later than the call; desks and their buffers are kept from batch to
//! batch. They share one buffer on the device, which the stream's order guards.

use std::sync::Arc;

use crate::handles::{
    Backend, Destination, DeviceBuffer, Handle, Params, ParsedJpeg, PinnedBuffer, State,
};
use crate::job::Job;
use crate::status::{Failure, Status};
use crate::sys::cudaStream_t;

/// Room beside the coefficients: how much a back end needs is not documented, and it takes more by itself where this is too little.
const SLACK_BYTES: usize = 1 << 16;

/// Back end and parameters, for all desks.
pub(crate) struct Tools {
    pub(crate) params: Params,
    pub(crate) backend: Backend,
}

/// The desks of one batch.
pub(crate) struct Hybrid {
    desks: Vec<Desk>,
    device: DeviceBuffer,
    device_bytes: usize,
}

/// What one image occupies until its planes are written. The state goes before the buffers that are attached to it.
struct Desk {
    state: State,
    jpeg: ParsedJpeg,
    pinned: PinnedBuffer,
    pinned_bytes: usize,
    destination: Place,
    /// A call failed: what the handles are in is not known, and they are made anew for the next batch.
    is_spoiled: bool,
}

/// Where the planes go.
struct Place(Destination);

// SAFETY: addresses alone, which nobody follows but the library, as whoever enqueues the image promises that it may.
unsafe impl Send for Place {}

impl Hybrid {
    pub(crate) fn new(handle: &Arc<Handle>) -> Result<Self, Failure> {
        Ok(Self {
            desks: Vec::new(),
            device: DeviceBuffer::create(handle)?,
            device_bytes: 0,
        })
    }

    /// Readies desks and memory for a batch.
    ///
    /// # Safety
    /// Nothing that is still to be done uses the desks.
    pub(crate) unsafe fn begin(
        &mut self,
        tools: &Tools,
        handle: &Arc<Handle>,
        jobs: &[Job<'_>],
        stream: cudaStream_t,
    ) -> Result<(), Failure> {
        self.desks.retain(|desk| !desk.is_spoiled);
        let wanted = jobs.iter().map(num_buffer_bytes).max().unwrap_or(0);
        if wanted > self.device_bytes {
            // SAFETY: the caller's promise.
            unsafe { self.device.resize(wanted, stream) }?;
            self.device_bytes = wanted;
        }
        while self.desks.len() < jobs.len() {
            self.desks.push(Desk::new(tools, handle, &self.device)?);
        }
        Ok(())
    }

    /// Enqueues the `nth` image of the batch that was begun.
    ///
    /// # Safety
    /// As [`crate::Decoder::decode`]; the desk was readied for this batch, and no other image had it.
    pub(crate) unsafe fn decode(
        &mut self,
        tools: &Tools,
        nth: usize,
        job: &Job<'_>,
        stream: cudaStream_t,
    ) -> Result<(), Failure> {
        let desk = &mut self.desks[nth];
        // SAFETY: the caller's promise.
        let decoded = unsafe { desk.decode(tools, job, stream) };
        desk.is_spoiled = decoded.is_err();
        decoded
    }
}

impl Desk {
    fn new(tools: &Tools, handle: &Arc<Handle>, device: &DeviceBuffer) -> Result<Self, Failure> {
        let pinned = PinnedBuffer::create(handle)?;
        let mut state = tools.backend.state()?;
        state.attach(&pinned, device)?;
        Ok(Self {
            state,
            jpeg: ParsedJpeg::create(handle)?,
            pinned,
            pinned_bytes: 0,
            destination: Place(Destination {
                channel: [std::ptr::null_mut(); 4],
                pitch: [0; 4],
            }),
            is_spoiled: false,
        })
    }

    /// # Safety
    /// As [`Hybrid::decode`].
    unsafe fn decode(
        &mut self,
        tools: &Tools,
        job: &Job<'_>,
        stream: cudaStream_t,
    ) -> Result<(), Failure> {
        // SAFETY: the bytes stay in place for as long as the caller promises, and the desk is free.
        unsafe { self.jpeg.parse(job.jpeg) }?;
        if !tools.backend.supports(&self.jpeg, &tools.params)? {
            return Err(Failure {
                function: "nvjpegDecoderJpegSupported",
                status: Status::JpegNotSupported,
            });
        }
        let wanted = num_buffer_bytes(job);
        if wanted > self.pinned_bytes {
            // SAFETY: the desk is free.
            unsafe { self.pinned.resize(wanted, stream) }?;
            self.pinned_bytes = wanted;
        }
        self.destination = Place(job.destination());
        let (backend, params) = (&tools.backend, &tools.params);
        let destination = &mut self.destination.0;
        // SAFETY: what the desk holds stays as it is until its next turn; the rest is the caller's promise.
        unsafe {
            self.state
                .decode_hybrid(backend, params, &self.jpeg, destination, stream)
        }
    }
}

/// Bytes of a desk's buffer, and of the device's, that an image takes: a power of two, so that buffers soon grow no more.
pub(crate) fn num_buffer_bytes(job: &Job<'_>) -> usize {
    (job.picture.num_coefficient_bytes() + SLACK_BYTES).next_power_of_two()
}
