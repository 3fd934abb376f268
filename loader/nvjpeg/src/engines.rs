//! The hardware engines: a batch in one call.

use std::sync::Arc;

use crate::handles::{Destination, Handle, ParsedJpeg, State};
use crate::job::Job;
use crate::status::Failure;
use crate::sys::cudaStream_t;

/// One state of the batched interface and what it was readied for.
pub(crate) struct Engines {
    state: State,
    /// Asked whether the engines take a file; keeps nothing of it.
    header: ParsedJpeg,
    /// The batch size that the state was readied for.
    ready_for: Option<usize>,
    reserved: BatchSize,
    /// There was no memory for a batch: what the state holds is given back before the next.
    is_starved: bool,
    arrays: Arrays,
}

/// Sizes for which memory is taken beforehand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct BatchSize {
    pub(crate) num_images: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// What the library is pointed at. It stays until the state's next turn, in which the library has long read it.
#[derive(Default)]
struct Arrays {
    jpegs: Vec<*const u8>,
    lengths: Vec<usize>,
    destinations: Vec<Destination>,
}

// SAFETY: addresses alone, which nobody follows but the library, as whoever enqueues a batch promises that it may.
unsafe impl Send for Arrays {}

impl Engines {
    pub(crate) fn new(handle: &Arc<Handle>, expected: BatchSize) -> Result<Self, Failure> {
        let mut engines = Self {
            state: State::create(handle)?,
            header: ParsedJpeg::create(handle)?,
            ready_for: None,
            reserved: BatchSize::default(),
            is_starved: false,
            arrays: Arrays::default(),
        };
        // SAFETY: nothing was enqueued yet.
        unsafe { engines.reserve(expected) }?;
        Ok(engines)
    }

    /// Whether the library says that the engines take a file. What it cannot parse they do not take.
    pub(crate) fn take(&mut self, jpeg: &[u8]) -> bool {
        self.header.is_for_engines(jpeg).unwrap_or(false)
    }

    /// Enqueues a batch. It goes through as a whole, or fails as a whole.
    ///
    /// # Safety
    /// As [`crate::Decoder::decode`]; what the state did before is done.
    pub(crate) unsafe fn decode(
        &mut self,
        jobs: &[Job<'_>],
        stream: cudaStream_t,
    ) -> Result<(), Failure> {
        // SAFETY: nothing that is still to be done uses the state, as the caller promises.
        let decoded = unsafe { self.try_decode(jobs, stream) };
        self.is_starved = decoded.is_err_and(|failure| failure.is_out_of_memory());
        decoded
    }

    /// # Safety
    /// As above.
    unsafe fn try_decode(&mut self, jobs: &[Job<'_>], stream: cudaStream_t) -> Result<(), Failure> {
        // SAFETY: the caller's promise.
        unsafe { self.ready(jobs) }?;
        self.arrays.set(jobs);
        let Arrays {
            jpegs,
            lengths,
            destinations,
        } = &mut self.arrays;
        // SAFETY: readied above, arrays of the batch's length, kept until the next turn; the rest is the caller's promise.
        let decoded = unsafe {
            self.state
                .decode_batch(jpegs, lengths, destinations, stream)
        };
        if decoded.is_err() {
            // NVIDIA asks for this after a failure.
            self.ready_for = None;
        }
        decoded
    }

    /// # Safety
    /// Nothing that is still to be done uses the state.
    unsafe fn ready(&mut self, jobs: &[Job<'_>]) -> Result<(), Failure> {
        if self.is_starved {
            self.state = self.state.anew()?;
            (self.ready_for, self.reserved) = (None, BatchSize::default());
        }
        // SAFETY: the caller's promise.
        unsafe { self.reserve(BatchSize::of(jobs)) }?;
        if self.ready_for != Some(jobs.len()) {
            self.ready_for = None;
            // SAFETY: the caller's promise.
            unsafe { self.state.begin_batches(jobs.len()) }?;
            self.ready_for = Some(jobs.len());
        }
        Ok(())
    }

    /// Takes memory for what is larger than anything before, up to powers of two, so that it is soon taken for good. Where there is too little for all
    /// images to be as large, the library takes what it needs when it decodes.
    ///
    /// # Safety
    /// Nothing that is still to be done uses the state.
    unsafe fn reserve(&mut self, wanted: BatchSize) -> Result<(), Failure> {
        let grown = self.reserved.grown_to(wanted);
        if grown != self.reserved {
            // SAFETY: the caller's promise.
            let taken = unsafe {
                self.state
                    .preallocate(grown.num_images, grown.width, grown.height)
            };
            match taken {
                Err(failure) if failure.is_out_of_memory() => {}
                taken => taken?,
            }
            self.reserved = grown;
        }
        Ok(())
    }
}

impl BatchSize {
    fn of(jobs: &[Job<'_>]) -> Self {
        let most = |length: fn(&Job<'_>) -> u32| jobs.iter().map(length).max().unwrap_or(0);
        Self {
            num_images: jobs.len() as u32,
            width: most(|job| job.picture.width),
            height: most(|job| job.picture.height),
        }
    }

    fn grown_to(self, wanted: Self) -> Self {
        let grown = |have: u32, wanted: u32| match wanted > have {
            true => wanted.next_power_of_two(),
            false => have,
        };
        Self {
            num_images: grown(self.num_images, wanted.num_images),
            width: grown(self.width, wanted.width),
            height: grown(self.height, wanted.height),
        }
    }
}

impl Arrays {
    fn set(&mut self, jobs: &[Job<'_>]) {
        self.jpegs.clear();
        self.lengths.clear();
        self.destinations.clear();
        self.jpegs.extend(jobs.iter().map(|job| job.jpeg.as_ptr()));
        self.lengths.extend(jobs.iter().map(|job| job.jpeg.len()));
        self.destinations.extend(jobs.iter().map(Job::destination));
    }
}
