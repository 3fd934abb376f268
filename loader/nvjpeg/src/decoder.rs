//! The decoder: sends every image of a batch the way that it can go, and says which that was.

use std::ffi::c_void;
use std::sync::Arc;

use crate::engines::{Engines, Outcome};
use crate::handles::{Backend, Handle, Params};
use crate::hybrid::{self, Hybrid, Tools};
use crate::job::{Job, Planes};
use crate::library::Library;
use crate::memory::Allocator;
use crate::picture::{Coded, Picture, Refusal};
use crate::status::{Failure, Status};
use crate::sys::{self, cudaStream_t};

/// The back end that decodes an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Route {
    /// The card's JPEG engines.
    Hardware,
    /// Huffman decoding on the calling thread, the rest by kernels on the card.
    Hybrid,
}

/// Why an image is not decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// nvJPEG was not asked.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// nvJPEG was asked and failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl Error {
    /// Whether the image is to blame, so that the CPU's decoder may be asked, rather than device or library.
    pub fn is_of_the_image(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            Self::Failed(failure) => failure.is_of_the_image(),
        }
    }
}

/// What a decoder is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Calls of [`Decoder::decode`] whose work may be under way at once. Who has lanes that come free in any order makes a decoder for each, of one.
    pub num_in_flight: usize,
    /// Whether the hardware engines are used where there are any.
    pub use_engines: bool,
}

/// How many images went which way since the decoder was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// By the hardware engines.
    pub hardware: u64,
    /// By the hybrid back end.
    pub hybrid: u64,
    /// Not at all: nvJPEG was not asked.
    pub refused: u64,
    /// Not at all: nvJPEG failed.
    pub failed: u64,
}

/// The streams that the engines work on.
pub trait EngineStreams {
    /// The streams (`CUstream`), which may be one alone or none.
    fn streams(&self) -> Vec<*mut c_void>;

    /// Waits until the stream of that number has done what it has; `false` where that cannot be. It is asked for where a file makes a call fail.
    fn wait(&mut self, nth: usize) -> bool;

    /// Makes what comes next on the other stream wait for these. They have been given their work, which is of so many images.
    fn join(&mut self, num_images: usize);
}

/// No streams beside the other one, which nobody waits for.
struct OneStream<'s>(&'s [*mut c_void]);

impl EngineStreams for OneStream<'_> {
    fn streams(&self) -> Vec<*mut c_void> {
        self.0.to_vec()
    }

    fn wait(&mut self, _nth: usize) -> bool {
        false
    }

    fn join(&mut self, _num_images: usize) {}
}

/// Decodes batches on the device whose context was current when it was made, from any one thread at a time in which that context is current.
pub struct Decoder {
    lanes: Vec<Lane>,
    next_lane: usize,
    tools: Tools,
    handle: Arc<Handle>,
    num_engines: u32,
    cores_per_engine: u32,
    counts: Counts,
    engine_failure: Option<Failure>,
}

/// What the work of one call occupies until it is done.
struct Lane {
    engines: Option<Engines>,
    hybrid: Hybrid,
    /// There was too little memory for a call: all that is held is given back before the next.
    is_starved: bool,
}

impl Decoder {
    /// Makes a decoder, with all its states. All memory that it works with is the allocator's.
    ///
    /// # Errors
    /// What nvJPEG says. A card without engines is none: see [`Decoder::num_engines`].
    pub fn new(
        library: &Arc<Library>,
        allocator: &Arc<dyn Allocator>,
        options: Options,
    ) -> Result<Self, Failure> {
        let opened = open(library, allocator, options.use_engines)?;
        let (handle, num_engines, cores_per_engine) = opened;
        let lane = |_| Lane::new(&handle, num_engines > 0);
        let lanes = (0..options.num_in_flight.max(1)).map(lane);
        Ok(Self {
            lanes: lanes.collect::<Result<_, _>>()?,
            next_lane: 0,
            tools: Tools {
                params: Params::yuv(&handle)?,
                backend: Backend::hybrid(&handle)?,
            },
            handle,
            num_engines,
            cores_per_engine,
            counts: Counts::default(),
            engine_failure: None,
        })
    }

    /// What a file's planes are like, by its header alone; needs no library and no device.
    ///
    /// # Errors
    /// Why nvJPEG is not asked about the file.
    pub fn picture(jpeg: &[u8]) -> Result<Picture, Refusal> {
        Picture::read(jpeg)
    }

    /// Engines that are used; 0 where the device has none, or they were not wanted. A state of nvJPEG has one batch under way: to keep several engines
    /// busy with one call, give it several streams ([`Decoder::decode_on`]).
    pub fn num_engines(&self) -> u32 {
        self.num_engines
    }

    /// Images that an engine decodes side by side.
    pub fn cores_per_engine(&self) -> u32 {
        self.cores_per_engine
    }

    /// How many images went which way.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The last failure of the engines for which no file is to blame, once; the images were then decoded one by one.
    pub fn take_engine_failure(&mut self) -> Option<Failure> {
        self.engine_failure.take()
    }

    /// Enqueues the decoding of `images` on `stream` (a `CUstream`), each to its planes; one answer for each, in their order. It does not wait for the
    /// device. `Ok` says that the work is enqueued: damage within the data of a scan may give wrong pixels, as it does on the CPU.
    ///
    /// # Safety
    /// The decoder's context is current. Until the stream has done the work, the bytes of the images stay in place and nobody touches the planes, which
    /// are as large as [`Decoder::picture`] says (`pitch * rows` bytes each) and in memory of the device. The work of the call before the last
    /// [`Options::num_in_flight`] calls is done.
    pub unsafe fn decode(
        &mut self,
        images: &[(&[u8], Planes)],
        stream: *mut c_void,
    ) -> Vec<Result<Route, Error>> {
        // SAFETY: the caller's promise.
        unsafe { self.run(images, stream, &mut OneStream(&[stream])) }
    }

    /// As [`Decoder::decode`], but the engines' work goes onto streams of their own, a part of it onto each.
    ///
    /// # Safety
    /// As [`Decoder::decode`], for all streams.
    pub unsafe fn decode_on(
        &mut self,
        images: &[(&[u8], Planes)],
        stream: *mut c_void,
        engines: &mut dyn EngineStreams,
    ) -> Vec<Result<Route, Error>> {
        // SAFETY: the caller's promise.
        unsafe { self.run(images, stream, engines) }
    }

    /// As [`Decoder::decode`], without the engines.
    ///
    /// # Safety
    /// As [`Decoder::decode`].
    pub unsafe fn decode_hybrid(
        &mut self,
        images: &[(&[u8], Planes)],
        stream: *mut c_void,
    ) -> Vec<Result<Route, Error>> {
        // SAFETY: the caller's promise.
        unsafe { self.run(images, stream, &mut OneStream(&[])) }
    }

    /// # Safety
    /// As [`Decoder::decode`].
    unsafe fn run(
        &mut self,
        images: &[(&[u8], Planes)],
        stream: *mut c_void,
        engines: &mut dyn EngineStreams,
    ) -> Vec<Result<Route, Error>> {
        let stream: cudaStream_t = stream.cast();
        let streams = engines.streams().into_iter();
        let streams: Vec<cudaStream_t> = streams.map(|stream| stream.cast()).collect();
        let num_lanes = self.lanes.len();
        let lane = &mut self.lanes[self.next_lane];
        self.next_lane = (self.next_lane + 1) % num_lanes;
        lane.begin_anew(&self.handle);
        let mut answers = Vec::with_capacity(images.len());
        let (mut hardware, mut hybrid) = (Vec::new(), Vec::new());
        for (at, &(jpeg, planes)) in images.iter().enumerate() {
            let coded = match Coded::read(jpeg) {
                Ok(coded) => coded,
                Err(refusal) => {
                    answers.push(Err(refusal.into()));
                    continue;
                }
            };
            let picture = coded.picture;
            let takes = !streams.is_empty() && coded.is_for_engines && lane.engines_take(jpeg);
            answers.push(Ok(if takes {
                Route::Hardware
            } else {
                Route::Hybrid
            }));
            let jobs = if takes { &mut hardware } else { &mut hybrid };
            jobs.push(Job {
                at,
                jpeg,
                picture,
                planes,
            });
        }
        let num_for_engines = hardware.len();
        // SAFETY: the caller's promise, for a lane whose work was that of the call before the last `num_in_flight`.
        let mut outcome = unsafe { lane.decode_by_engines(hardware, &streams, engines) };
        engines.join(num_for_engines - outcome.left.len());
        self.engine_failure = outcome.failure.or(self.engine_failure);
        hybrid.append(&mut outcome.left);
        hybrid.retain(|job| {
            let has_room = self.handle.has_room(hybrid::num_buffer_bytes(job));
            if !has_room {
                answers[job.at] = Err(Refusal::TooLarge.into());
            }
            has_room
        });
        // SAFETY: likewise.
        unsafe { lane.decode_hybrid(&self.tools, &self.handle, &hybrid, stream, &mut answers) };
        let failures = answers.iter().filter_map(|answer| match answer {
            Err(Error::Failed(failure)) => Some(failure),
            _ => None,
        });
        let mut failures = failures.chain(&outcome.failure);
        lane.is_starved =
            self.handle.was_refused_memory() || failures.any(Failure::is_out_of_memory);
        self.count(&answers);
        answers
    }

    fn count(&mut self, answers: &[Result<Route, Error>]) {
        for answer in answers {
            *match answer {
                Ok(Route::Hardware) => &mut self.counts.hardware,
                Ok(Route::Hybrid) => &mut self.counts.hybrid,
                Err(Error::Refused(_)) => &mut self.counts.refused,
                Err(Error::Failed(_)) => &mut self.counts.failed,
            } += 1;
        }
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("Decoder");
        shown.field("num_engines", &self.num_engines);
        shown.field("counts", &self.counts).finish_non_exhaustive()
    }
}

/// The library's handle, with the engines where the device has some; their number, and the cores of each.
fn open(
    library: &Arc<Library>,
    allocator: &Arc<dyn Allocator>,
    use_engines: bool,
) -> Result<(Arc<Handle>, u32, u32), Failure> {
    let create = |backend| Handle::create(library, backend, allocator);
    if use_engines {
        match create(sys::HARDWARE) {
            Ok(handle) => {
                let (num, cores) = handle.engines()?;
                return Ok((handle, num, cores));
            }
            Err(failure) if failure.status == Status::ArchMismatch => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok((create(sys::DEFAULT)?, 0, 0))
}

impl Lane {
    fn new(handle: &Arc<Handle>, has_engines: bool) -> Result<Self, Failure> {
        Ok(Self {
            engines: has_engines.then(|| Engines::new(handle)).transpose()?,
            hybrid: Hybrid::new(handle)?,
            is_starved: false,
        })
    }

    /// Gives back what is held, where there was too little. What the lane did before is done.
    fn begin_anew(&mut self, handle: &Arc<Handle>) {
        if self.is_starved
            && let Ok(fresh) = Self::new(handle, self.engines.is_some())
        {
            *self = fresh;
        }
    }

    fn engines_take(&mut self, jpeg: &[u8]) -> bool {
        let engines = self.engines.as_mut();
        engines.is_some_and(|engines| engines.take(jpeg))
    }

    /// # Safety
    /// As [`Decoder::decode`]; what the lane did before is done.
    unsafe fn decode_by_engines<'j>(
        &mut self,
        jobs: Vec<Job<'j>>,
        streams: &[cudaStream_t],
        theirs: &mut dyn EngineStreams,
    ) -> Outcome<'j> {
        let mut wait = |nth| theirs.wait(nth);
        match &mut self.engines {
            // SAFETY: the caller's promise.
            Some(engines) => unsafe { engines.decode(jobs, streams, &mut wait) },
            None => Outcome {
                left: jobs,
                failure: None,
            },
        }
    }

    /// # Safety
    /// As [`Decoder::decode`]; what the lane's hybrid half did before is done.
    unsafe fn decode_hybrid(
        &mut self,
        tools: &Tools,
        handle: &Arc<Handle>,
        jobs: &[Job<'_>],
        stream: cudaStream_t,
        answers: &mut [Result<Route, Error>],
    ) {
        // SAFETY: the caller's promise.
        let begun = unsafe { self.hybrid.begin(tools, handle, jobs, stream) };
        for (nth, job) in jobs.iter().enumerate() {
            // SAFETY: the caller's promise; the batch is begun, and each image has the desk of its number.
            let decoded =
                begun.and_then(|()| unsafe { self.hybrid.decode(tools, nth, job, stream) });
            answers[job.at] = decoded.map(|()| Route::Hybrid).map_err(Error::from);
        }
    }
}
