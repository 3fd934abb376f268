//! The hardware engines: a batch in one call.

use std::sync::Arc;

use crate::handles::{Destination, Handle, ParsedJpeg, State};
use crate::job::Job;
use crate::status::{Failure, Status};
use crate::sys::cudaStream_t;

/// Most states of a lane: as many as streams, and some for a batch in which a file makes a call fail.
const MOST_STATES: usize = 32;

/// The states of a lane: each takes part of a batch.
pub(crate) struct Engines {
    handle: Arc<Handle>,
    /// Asked whether the engines take a file; keeps nothing of it.
    header: ParsedJpeg,
    expected: BatchSize,
    states: Vec<BatchState>,
}

/// What became of a batch.
#[derive(Default)]
pub(crate) struct Outcome<'j> {
    /// What the engines do not decode.
    pub(crate) left: Vec<Job<'j>>,
    /// Why, where no file is to blame.
    pub(crate) failure: Option<Failure>,
}

/// One state of the batched interface and what it was readied for.
struct BatchState {
    state: State,
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
        Ok(Self {
            handle: Arc::clone(handle),
            header: ParsedJpeg::create(handle)?,
            expected,
            states: vec![BatchState::new(handle, expected)?],
        })
    }

    /// Whether the library says that the engines take a file. What it cannot parse they do not take.
    pub(crate) fn take(&mut self, jpeg: &[u8]) -> bool {
        self.header.is_for_engines(jpeg).unwrap_or(false)
    }

    /// Enqueues a batch, a part of it on each of `streams`. A part in which a file makes the call fail is halved until that file is alone, so that no
    /// other goes another way for its sake.
    ///
    /// # Safety
    /// As [`crate::Decoder::decode`]; what the states did before is done.
    pub(crate) unsafe fn decode<'j>(
        &mut self,
        jobs: Vec<Job<'j>>,
        streams: &[cudaStream_t],
    ) -> Outcome<'j> {
        let mut outcome = Outcome::default();
        let mut parts = parts(jobs, streams);
        let mut num_used = 0;
        while let Some((mut part, stream)) = parts.pop() {
            let state = self.state(num_used);
            // SAFETY: the caller's promise, for a state that has no other part.
            let decoded = state.and_then(|state| unsafe { state.decode(&part, stream) });
            num_used += 1;
            match decoded {
                Ok(()) => {}
                Err(failure) if failure.is_of_the_image() && part.len() > 1 => {
                    let half = part.split_off(part.len() / 2);
                    parts.extend([(half, stream), (part, stream)]);
                }
                Err(failure) => {
                    let is_of_the_image = failure.is_of_the_image();
                    outcome.failure = outcome.failure.or((!is_of_the_image).then_some(failure));
                    outcome.left.append(&mut part);
                }
            }
        }
        outcome
    }

    /// The state of that number, made when it is first used.
    fn state(&mut self, number: usize) -> Result<&mut BatchState, Failure> {
        if number >= self.states.len() {
            if number >= MOST_STATES {
                return Err(Failure {
                    function: "nvjpegDecodeBatched",
                    status: Status::BadJpeg,
                });
            }
            self.states
                .push(BatchState::new(&self.handle, self.expected)?);
        }
        Ok(&mut self.states[number])
    }
}

/// A batch in as many parts as there are streams, or images.
fn parts<'j>(
    mut jobs: Vec<Job<'j>>,
    streams: &[cudaStream_t],
) -> Vec<(Vec<Job<'j>>, cudaStream_t)> {
    let mut parts = Vec::new();
    for (nth, stream) in streams.iter().enumerate().rev() {
        let part = jobs.split_off(jobs.len() * nth / (nth + 1));
        if !part.is_empty() {
            parts.push((part, *stream));
        }
    }
    parts
}

impl BatchState {
    fn new(handle: &Arc<Handle>, expected: BatchSize) -> Result<Self, Failure> {
        let mut state = Self {
            state: State::create(handle)?,
            ready_for: None,
            reserved: BatchSize::default(),
            is_starved: false,
            arrays: Arrays::default(),
        };
        // SAFETY: nothing was enqueued yet.
        unsafe { state.reserve(expected) }?;
        Ok(state)
    }

    /// Enqueues a batch. It goes through as a whole, or fails as a whole.
    ///
    /// # Safety
    /// As [`crate::Decoder::decode`]; what the state did before is done.
    unsafe fn decode(&mut self, jobs: &[Job<'_>], stream: cudaStream_t) -> Result<(), Failure> {
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
