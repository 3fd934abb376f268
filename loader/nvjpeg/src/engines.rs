//! The hardware engines: a batch in one call.

use std::sync::Arc;

use crate::handles::{Destination, Handle, ParsedJpeg, State};
use crate::job::Job;
use crate::status::Failure;
use crate::sys::cudaStream_t;

/// The states of a lane: each takes part of a batch.
pub(crate) struct Engines {
    handle: Arc<Handle>,
    /// Asked whether the engines take a file; keeps nothing of it.
    header: ParsedJpeg,
    states: Vec<BatchState>,
}

/// What became of a batch.
#[derive(Default)]
pub(crate) struct Outcome<'j> {
    /// What the engines do not decode.
    pub(crate) left: Vec<Job<'j>>,
    /// Why, where no file is to blame, or each of several.
    pub(crate) failure: Option<Failure>,
}

/// One state of the batched interface and what it was readied for.
struct BatchState {
    state: State,
    /// The batch size that the state was readied for.
    ready_for: Option<usize>,
    reserved: BatchSize,
    arrays: Arrays,
}

/// Sizes for which memory is taken beforehand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct BatchSize {
    num_images: u32,
    width: u32,
    height: u32,
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
    pub(crate) fn new(handle: &Arc<Handle>) -> Result<Self, Failure> {
        Ok(Self {
            handle: Arc::clone(handle),
            header: ParsedJpeg::create(handle)?,
            states: vec![BatchState::new(handle)?],
        })
    }

    /// Whether the library says that the engines take a file. What it cannot parse they do not take.
    pub(crate) fn take(&mut self, jpeg: &[u8]) -> bool {
        self.header.is_for_engines(jpeg).unwrap_or(false)
    }

    /// Enqueues a batch, a part of it on each of `streams`. A part in which a file makes the call fail is halved until that file is alone, so that no
    /// other goes another way for its sake. That takes a state which is idle again: `wait` waits for the stream of that number, or says that it cannot.
    ///
    /// # Safety
    /// As [`crate::Decoder::decode`]; what the states did before is done, and what a stream has is done once `wait` has said so.
    pub(crate) unsafe fn decode<'j>(
        &mut self,
        jobs: Vec<Job<'j>>,
        streams: &[cudaStream_t],
        wait: &mut dyn FnMut(usize) -> bool,
    ) -> Outcome<'j> {
        let (num_jobs, mut of_files) = (jobs.len(), None);
        let mut outcome = Outcome::default();
        let mut parts = parts(jobs, streams.len());
        let mut has_work = vec![false; streams.len()];
        while let Some((mut part, nth)) = parts.pop() {
            if has_work[nth] && !wait(nth) {
                outcome.left.append(&mut part);
                continue;
            }
            has_work[nth] = true;
            let state = self.state(nth);
            // SAFETY: the caller's promise, for a state that has no work.
            let decoded = state.and_then(|state| unsafe { state.decode(&part, streams[nth]) });
            match decoded {
                Ok(()) => {}
                Err(failure) if failure.is_of_the_image() && part.len() > 1 => {
                    let half = part.split_off(part.len() / 2);
                    parts.extend([(half, nth), (part, nth)]);
                }
                Err(failure) => {
                    let cause = match failure.is_of_the_image() {
                        true => &mut of_files,
                        false => &mut outcome.failure,
                    };
                    cause.get_or_insert(failure);
                    outcome.left.append(&mut part);
                }
            }
        }
        if num_jobs > 1 && outcome.left.len() == num_jobs {
            outcome.failure = outcome.failure.or(of_files);
        }
        outcome
    }

    /// The state of that number, made when it is first used.
    fn state(&mut self, number: usize) -> Result<&mut BatchState, Failure> {
        while number >= self.states.len() {
            self.states.push(BatchState::new(&self.handle)?);
        }
        Ok(&mut self.states[number])
    }
}

/// A batch in `num` parts, or as many as there are images, each with the number of its stream.
fn parts(mut jobs: Vec<Job<'_>>, num: usize) -> Vec<(Vec<Job<'_>>, usize)> {
    let mut parts = Vec::new();
    for nth in (0..num).rev() {
        let part = jobs.split_off(jobs.len() * nth / (nth + 1));
        if !part.is_empty() {
            parts.push((part, nth));
        }
    }
    parts
}

impl BatchState {
    fn new(handle: &Arc<Handle>) -> Result<Self, Failure> {
        Ok(Self {
            state: State::create(handle)?,
            ready_for: None,
            reserved: BatchSize::default(),
            arrays: Arrays::default(),
        })
    }

    /// Enqueues a batch. It goes through as a whole, or fails as a whole.
    ///
    /// # Safety
    /// As [`crate::Decoder::decode`]; what the state did before is done.
    unsafe fn decode(&mut self, jobs: &[Job<'_>], stream: cudaStream_t) -> Result<(), Failure> {
        // SAFETY: nothing that is still to be done uses the state, as the caller promises.
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
        // SAFETY: the caller's promise.
        unsafe { self.reserve(BatchSize::of(jobs)) };
        if self.ready_for != Some(jobs.len()) {
            self.ready_for = None;
            // SAFETY: the caller's promise.
            unsafe { self.state.begin_batches(jobs.len()) }?;
            self.ready_for = Some(jobs.len());
        }
        Ok(())
    }

    /// Asks the library to take memory for what is larger than anything before, up to powers of two, so that it soon takes none any more while it
    /// decodes. It is a hint, and where all images as large as the largest would be too much, none is given: then the library takes what it needs.
    ///
    /// # Safety
    /// Nothing that is still to be done uses the state.
    unsafe fn reserve(&mut self, wanted: BatchSize) {
        let grown = self.reserved.grown_to(wanted);
        if grown != self.reserved && self.state.may_take(grown.num_bytes()) {
            // SAFETY: the caller's promise.
            let taken = unsafe {
                self.state
                    .preallocate(grown.num_images, grown.width, grown.height)
            };
            match taken {
                Ok(()) => self.reserved = grown,
                Err(_) => self.state.forget_refusal(),
            }
        }
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

    /// Of planes that share no chroma values.
    fn num_bytes(self) -> usize {
        3 * self.num_images as usize * self.width as usize * self.height as usize
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
