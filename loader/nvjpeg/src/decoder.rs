//! The decoder: sends every image of a batch the way that it can go, and says which that was.

use std::ffi::c_void;
use std::sync::Arc;

use crate::engines::{BatchSize, Engines, Outcome};
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

/// What a decoder is made for. Sizes are those expected (the index of the shards knows them); larger ones take more memory when they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Calls of [`Decoder::decode`] whose work may be under way at once. Who has lanes that come free in any order makes a decoder for each, of one.
    pub num_in_flight: usize,
    /// Images of a call.
    pub batch: u32,
    /// Columns of the widest image.
    pub width: u32,
    /// Rows of the highest image.
    pub height: u32,
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
        let size = BatchSize {
            num_images: options.batch,
            width: options.width,
            height: options.height,
        };
        let lane = |_| Lane::new(&handle, (num_engines > 0).then_some(size));
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
        unsafe { self.run(images, stream, &[stream], |_| ()) }
    }

    /// As [`Decoder::decode`], but the engines' work goes onto `engines`, a part of it onto each, which may be several streams or the same one. Once it is
    /// there, and before any other work is put onto `stream`, `between` is told how many images it is of: `stream` is to wait for it.
    ///
    /// # Safety
    /// As [`Decoder::decode`], for all streams.
    pub unsafe fn decode_on(
        &mut self,
        images: &[(&[u8], Planes)],
        stream: *mut c_void,
        engines: &[*mut c_void],
        between: impl FnOnce(usize),
    ) -> Vec<Result<Route, Error>> {
        // SAFETY: the caller's promise.
        unsafe { self.run(images, stream, engines, between) }
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
        unsafe { self.run(images, stream, &[], |_| ()) }
    }

    /// # Safety
    /// As [`Decoder::decode`].
    unsafe fn run(
        &mut self,
        images: &[(&[u8], Planes)],
        stream: *mut c_void,
        engines: &[*mut c_void],
        between: impl FnOnce(usize),
    ) -> Vec<Result<Route, Error>> {
        let stream: cudaStream_t = stream.cast();
        let engines: Vec<cudaStream_t> = engines.iter().map(|stream| stream.cast()).collect();
        let num_lanes = self.lanes.len();
        let lane = &mut self.lanes[self.next_lane];
        self.next_lane = (self.next_lane + 1) % num_lanes;
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
            let takes = !engines.is_empty() && coded.is_for_engines && lane.engines_take(jpeg);
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
        let mut outcome = unsafe { lane.decode_by_engines(hardware, &engines) };
        between(num_for_engines - outcome.left.len());
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
    fn new(handle: &Arc<Handle>, engines: Option<BatchSize>) -> Result<Self, Failure> {
        Ok(Self {
            engines: engines.map(|size| Engines::new(handle, size)).transpose()?,
            hybrid: Hybrid::new(handle)?,
        })
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
    ) -> Outcome<'j> {
        match &mut self.engines {
            // SAFETY: the caller's promise.
            Some(engines) => unsafe { engines.decode(jobs, streams) },
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
