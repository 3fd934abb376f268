//! What one batch in flight has of the card: a stream, an event, and memory. Everything in it is used on this one stream, or on branches of it that are joined again, so
//! what it holds is in order.
//!
//! It knows nothing of rows and threads: a batch fills its rounds. The thread that has the lane uses it.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::sync::Arc;

use cudarc::driver::{CudaEvent, CudaStream, sys};
use loader_card::{CardError, failed};
use loader_ipc::SlotWriter;
use nvjpeg::{Decoder, EngineStreams, Route};

use crate::augment::cuda::{Launch, View};
use crate::decode;
use crate::pipeline::cuda::branches::Branches;
use crate::pipeline::cuda::card::Card;
use crate::pipeline::cuda::jpeg::{self, Jpeg};
use crate::pipeline::cuda::memory::{self, DeviceMemory, Piece, PinnedMemory};
use crate::pipeline::cuda::nvjpeg_decoders::Answers;
use crate::pipeline::cuda::nvjpeg_health::{MAX_JPEGS, NvjpegHealth};
use crate::pipeline::cuda::nvjpeg_memory::NvjpegRoom;
use crate::pipeline::cuda::round::{Place, Room, Round, Source};
use crate::pipeline::cuda::timing::Marks;
use crate::pipeline::stages::{Stage, Stages};

const MIB: usize = 1 << 20;
/// What a lane begins with, unless it may have less.
const FIRST: Room = Room {
    staging: 8 * MIB,
    decoded: 16 * MIB,
    scratch: 24 * MIB,
    num_jpegs: MAX_JPEGS,
};
/// The most it may ever have: a batch of 256 photographs at once.
const MOST: Room = Room {
    staging: 256 * MIB,
    decoded: 512 * MIB,
    scratch: 1024 * MIB,
    num_jpegs: MAX_JPEGS,
};
/// The most of nvJPEG's memory: several times what such a batch takes when the hybrid back end decodes it.
const MOST_OF_NVJPEG: NvjpegRoom = NvjpegRoom {
    device: 1024 * MIB,
    pinned: 512 * MIB,
};
/// The share of the card's memory, and of that of the host, that all lanes together may have, one part in so many. Slots come on top.
const SHARE: usize = 8;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Lane {
    card: Arc<Card>,
    stream: Arc<CudaStream>,
    /// Set when everything for the batch has been done.
    done: CudaEvent,
    marks: Marks,
    most: Room,
    /// Of nvJPEG.
    health: NvjpegHealth,
    staging: PinnedMemory,
    /// What has been copied of the staging memory.
    inputs: DeviceMemory,
    /// Planes and pixels of JPEG files.
    decoded: DeviceMemory,
    /// Decodes JPEG files, where nvJPEG does.
    decoder: Option<Decoder>,
    /// What the engines decode on.
    branches: Branches,
    scratch: DeviceMemory,
    /// The slot's tensors.
    tensors: DeviceMemory,
    /// They once more, on the host, where the card cannot write the slot.
    bounce: Option<PinnedMemory>,
    /// Whether the stream was told to write a slot of the host, and is not known to have done it.
    may_write_slot: bool,
}

/// The most that a lane may ever have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    /// For a round.
    pub(super) room: Room,
    /// For what nvJPEG works with.
    pub(super) nvjpeg: NvjpegRoom,
}

impl Share {
    /// That of one of `num_lanes` lanes, where the host has `host_bytes`.
    pub(super) fn of(card: &Card, host_bytes: usize, num_lanes: usize) -> Share {
        let card = card.memory_bytes() / SHARE / num_lanes;
        let host = host_bytes / SHARE / num_lanes;
        Share {
            room: Room {
                staging: MOST.staging.min(card / 8).min(host / 2),
                decoded: MOST.decoded.min(card / 4),
                scratch: MOST.scratch.min(card / 8 * 3),
                num_jpegs: MOST.num_jpegs,
            },
            nvjpeg: NvjpegRoom {
                device: MOST_OF_NVJPEG.device.min(card / 4),
                pinned: MOST_OF_NVJPEG.pinned.min(host / 2),
            },
        }
    }

    /// Where files are decoded by the CPU: images take the place of files.
    pub(super) fn without_decoder(self) -> Share {
        Share {
            room: Room {
                staging: MOST.staging.min(2 * self.room.staging),
                decoded: 1,
                scratch: MOST.scratch.min(2 * self.room.scratch),
                ..self.room
            },
            nvjpeg: NvjpegRoom {
                device: 0,
                pinned: 0,
            },
        }
    }

    /// Of the host's memory.
    pub(super) fn pinned_bytes(&self) -> usize {
        self.room.staging + self.nvjpeg.pinned
    }

    /// Of the card's.
    pub(super) fn card_bytes(&self) -> usize {
        self.room.staging + self.room.decoded + self.room.scratch + self.nvjpeg.device
    }
}

impl Room {
    fn least(self, other: Room) -> Room {
        Room {
            staging: self.staging.min(other.staging),
            decoded: self.decoded.min(other.decoded),
            scratch: self.scratch.min(other.scratch),
            num_jpegs: self.num_jpegs.min(other.num_jpegs),
        }
    }
}

impl Lane {
    /// A lane that may grow to `most`, and decodes files if it has a decoder, whose engines work on `num_branches` streams.
    pub(super) fn new(
        card: &Arc<Card>,
        most: Room,
        decoder: Option<Decoder>,
        num_branches: usize,
    ) -> Result<Lane, CardError> {
        let (context, taken) = (card.context(), card.taken());
        let stream = context.new_stream().map_err(failed("making a stream"))?;
        let flags = Some(sys::CUevent_flags::CU_EVENT_DISABLE_TIMING);
        let done = context.new_event(flags);
        let done = done.map_err(failed("making an event"))?;
        let room = FIRST.least(most);
        Ok(Lane {
            staging: PinnedMemory::new(context, room.staging)?,
            inputs: DeviceMemory::new(&stream, taken, room.staging)?,
            decoded: DeviceMemory::new(&stream, taken, room.decoded)?,
            decoder,
            branches: Branches::new(context, num_branches)?,
            scratch: DeviceMemory::new(&stream, taken, room.scratch)?,
            tensors: DeviceMemory::new(&stream, taken, 1)?,
            bounce: None,
            may_write_slot: false,
            card: Arc::clone(card),
            stream,
            done,
            marks: Marks::new(context)?,
            most,
            health: NvjpegHealth::new(card.name()),
        })
    }

    /// What it has for a round.
    pub(super) fn room(&self) -> Room {
        Room {
            staging: self.staging.num_bytes(),
            decoded: self.decoded.num_bytes(),
            scratch: self.scratch.num_bytes(),
            num_jpegs: self.health.most_jpegs(),
        }
    }

    /// Makes it ready for slots of `num_bytes` in memory of the host; `bounces` where the card cannot write them. Gives the address where the tensors are made.
    pub(super) fn fit(&mut self, num_bytes: usize, bounces: bool) -> Result<u64, CardError> {
        if self.tensors.num_bytes() < num_bytes {
            self.tensors = DeviceMemory::zeroed(&self.stream, self.card.taken(), num_bytes)?;
        }
        let has_bounce = self
            .bounce
            .as_ref()
            .is_some_and(|it| it.num_bytes() >= num_bytes);
        if bounces && !has_bounce {
            self.bounce = Some(PinnedMemory::new(self.card.context(), num_bytes)?);
        }
        Ok(self.tensors.address())
    }

    /// Makes a round's room at least `needed`, and twice as large as it was. `false` where that is too much, or more than there is: then it stays as it
    /// is. Nothing may be on its way.
    pub(super) fn grow(&mut self, needed: Room) -> Result<bool, CardError> {
        let has = self.room();
        let more = |has: usize, needed: usize, most: usize| match needed > has {
            true => needed.max(2 * has).min(most),
            false => has,
        };
        let wanted = Room {
            staging: more(has.staging, needed.staging, self.most.staging),
            decoded: more(has.decoded, needed.decoded, self.most.decoded),
            scratch: more(has.scratch, needed.scratch, self.most.scratch),
            num_jpegs: has.num_jpegs,
        };
        if !wanted.holds(needed) {
            return Ok(false);
        }
        match self.resize(wanted) {
            Ok(()) => Ok(true),
            Err(error) if error.is_out_of_memory() => {
                tracing::warn!(
                    "batches take several rounds on {}: {error}",
                    self.card.name()
                );
                self.most = has;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Gives back what a round does not need to begin with; `false` where there is nothing to give.
    pub(super) fn shrink(&mut self) -> Result<bool, CardError> {
        let least = Room {
            num_jpegs: self.health.most_jpegs(),
            ..FIRST.least(self.most)
        };
        if self.room() == least {
            return Ok(false);
        }
        self.most = least;
        self.resize(least).map(|()| true)
    }

    fn resize(&mut self, room: Room) -> Result<(), CardError> {
        let taken = self.card.taken();
        if room.staging != self.staging.num_bytes() {
            let staging = PinnedMemory::new(self.card.context(), room.staging)?;
            self.inputs = DeviceMemory::new(&self.stream, taken, room.staging)?;
            self.staging = staging;
        }
        if room.decoded != self.decoded.num_bytes() {
            self.decoded = DeviceMemory::new(&self.stream, taken, room.decoded)?;
        }
        if room.scratch != self.scratch.num_bytes() {
            self.scratch = DeviceMemory::new(&self.stream, taken, room.scratch)?;
        }
        Ok(())
    }

    /// A part of the staging memory, to be written.
    ///
    /// # Safety
    /// The round gives this part to nobody else, and is run only once the part is written.
    pub(super) unsafe fn piece(&self, offset: usize, num_bytes: usize) -> Piece {
        // SAFETY: upheld by the caller; between rounds the stream has done its copies.
        unsafe { self.staging.piece(offset, num_bytes) }
    }

    /// Writes a file that nobody else has a place for.
    pub(super) fn write(&mut self, place: Place, bytes: &[u8]) {
        // SAFETY: nothing is on its way, and the lane is borrowed for this alone.
        unsafe { self.piece(place.staging, bytes.len()) }.write(bytes);
    }

    /// Where the pixels of an image will lie on the card.
    pub(super) fn image_address(&self, source: Source, place: Place) -> u64 {
        match source {
            Source::Pixels(_) => self.inputs.address() + place.staging as u64,
            Source::Jpeg(_, picture) => {
                self.decoded.address() + (place.decoded + jpeg::pixels_offset(picture)) as u64
            }
        }
    }

    /// Puts a round onto the stream: one copy, the decoding of its files, then the kernels. Gives what nvJPEG answers about the files.
    pub(super) fn run(&mut self, round: &Round) -> Result<Answers, CardError> {
        let [of_views, of_jpegs, end] = round.descriptors();
        self.write_descriptors(round);
        self.marks.begin(&self.stream)?;
        // SAFETY: both ends are the lane's, which is not used before the stream has done it.
        unsafe { memory::upload(&self.stream, &self.staging, &self.inputs, end)? };
        self.end_of(Stage::Upload, round.num_images)?;
        let answers = self.decode(round)?;
        let table = |offset: usize| self.inputs.address() + offset as u64;
        if let Some(most) = round
            .jpegs
            .iter()
            .map(|jpeg| jpeg::num_pixels(&jpeg.picture))
            .max()
        {
            let num_blocks = decode::num_blocks(most, round.jpegs.len());
            self.launch(
                decode::KERNEL,
                (num_blocks, round.jpegs.len()),
                table(of_jpegs),
            )?;
        }
        for Launch { kernel, num_blocks } in round.table.launches() {
            let shape = (num_blocks, round.table.views().len());
            self.launch(kernel, shape, table(of_views))?;
        }
        self.end_of(Stage::Kernels, round.num_images)?;
        Ok(answers)
    }

    fn end_of(&mut self, stage: Stage, num_images: usize) -> Result<(), CardError> {
        self.marks.end(&self.stream, stage, num_images)
    }

    fn write_descriptors(&self, round: &Round) {
        let [of_views, of_jpegs, end] = round.descriptors();
        let memory = self.decoded.address();
        let jpegs: Vec<decode::Planes> = round
            .jpegs
            .iter()
            .map(|jpeg| jpeg.descriptor(memory))
            .collect();
        // SAFETY: the round keeps these places free of images, and nothing of it is on its way.
        unsafe {
            self.staging
                .piece(of_views, of_jpegs - of_views)
                .write::<View>(round.table.views());
            self.staging.piece(of_jpegs, end - of_jpegs).write(&jpegs);
        }
    }

    fn decode(&mut self, round: &Round) -> Result<Answers, CardError> {
        let Some(decoder) = self.decoder.as_mut().filter(|_| !round.jpegs.is_empty()) else {
            return Ok(Answers::default());
        };
        self.card.bind()?;
        let memory = self.decoded.address();
        let images = round.jpegs.iter().map(|jpeg| {
            // SAFETY: the round gave this place to the file, which is written; nobody writes it before the stream has done the round.
            let bytes = unsafe { self.staging.part(jpeg.offset, jpeg.num_bytes) };
            (bytes, jpeg.planes(memory))
        });
        let images: Vec<_> = images.collect();
        let stream = &self.stream;
        // Memory of the lane is there once its stream has come to where it was taken.
        self.branches.fork(stream)?;
        let mut beside = Beside {
            card: &self.card,
            stream,
            branches: &self.branches,
            marks: &mut self.marks,
            joined: Ok(()),
        };
        // SAFETY: the context is bound; files and planes are this lane's, whose earlier rounds are done, as long as the round said.
        let answers = unsafe { decoder.decode_on(&images, stream.cu_stream().cast(), &mut beside) };
        beside.joined?;
        let by_hybrid = answers.iter().filter(|it| **it == Ok(Route::Hybrid));
        self.marks
            .end(&self.stream, Stage::Hybrid, by_hybrid.count())?;
        let of_engines = decoder.take_engine_failure();
        Ok(self.health.judge(answers, of_engines))
    }

    /// The pixels of a file, once they are there.
    pub(super) fn pixels(&self, jpeg: &Jpeg) -> Result<Vec<u8>, CardError> {
        let offset = jpeg.decoded + jpeg::pixels_offset(&jpeg.picture);
        let mut pixels = vec![0; jpeg::num_pixels(&jpeg.picture) * 3];
        // SAFETY: the copy is waited for, and nobody else knows where it goes.
        unsafe { memory::download(&self.stream, &self.decoded, offset, &mut pixels)? };
        self.wait()?;
        Ok(pixels)
    }

    fn launch(
        &self,
        kernel: &str,
        (num_blocks, num_rows): (u32, usize),
        table: u64,
    ) -> Result<(), CardError> {
        let shape = (num_blocks, num_rows as u32);
        // SAFETY: the descriptors were made for memory of this lane; the round does not take more than that holds.
        unsafe {
            self.card
                .launch(&self.stream, kernel, shape, table, self.scratch.address())
        }
    }

    /// Puts the way back onto the stream, and the event that tells its end. A slot in memory of the card needs no way back.
    pub(super) fn send(
        &mut self,
        slot: &mut SlotWriter,
        num_rows: usize,
        bounces: bool,
    ) -> Result<(), CardError> {
        if slot.card_offset().is_none() {
            self.marks.begin_once(&self.stream)?;
            self.download(slot, bounces)?;
            self.end_of(Stage::Download, num_rows)?;
        }
        let recorded = self.done.record(&self.stream);
        recorded.map_err(failed("recording the end of a batch"))
    }

    fn download(&mut self, slot: &mut SlotWriter, bounces: bool) -> Result<(), CardError> {
        let tensors = slot.tensors();
        match &self.bounce {
            // SAFETY: both ends are the lane's.
            Some(bounce) if bounces => unsafe {
                bounce.download(&self.stream, &self.tensors, tensors.len())
            },
            _ => {
                self.may_write_slot = true;
                // SAFETY: the slot is held until the event, or the stream, says that this is done.
                unsafe { memory::download(&self.stream, &self.tensors, 0, tensors) }
            }
        }
    }

    /// Writes views that the CPU made over those that the card did not, at an address of the slot. Nothing may be on its way.
    pub(super) fn overwrite(&mut self, address: u64, pixels: &[u8]) -> Result<(), CardError> {
        // SAFETY: the caller's slot, and pixels that live until the stream is done.
        unsafe { memory::upload_to(&self.stream, pixels, address)? };
        self.wait()
    }

    /// Waits for the end that [`Lane::send`] announced; then the slot holds all views.
    pub(super) fn arrive(
        &mut self,
        slot: &mut SlotWriter,
        num_rows: usize,
        bounces: bool,
        stages: &Stages,
    ) -> Result<(), CardError> {
        let doing = "waiting for the end of a batch";
        loader_card::wait(self.card.context(), doing, || self.done.try_is_complete())?;
        // At once: the driver tells whoever waits what went wrong.
        self.done.synchronize().map_err(failed(doing))?;
        self.may_write_slot = false;
        self.read_marks(stages)?;
        if let (Some(bounce), true) = (&self.bounce, bounces) {
            let tensors = slot.tensors();
            // SAFETY: the copy into it is done.
            let bytes = unsafe { bounce.bytes(tensors.len()) };
            stages.time(Stage::Bounce, num_rows, || tensors.copy_from_slice(bytes));
        }
        Ok(())
    }

    /// Adds up what the stages on the stream have taken, which has done them all.
    pub(super) fn read_marks(&mut self, stages: &Stages) -> Result<(), CardError> {
        self.marks.read(&self.card.clock, stages)
    }

    /// Waits until the stream has nothing to do.
    pub(super) fn wait(&self) -> Result<(), CardError> {
        self.branches.wait(&self.card)?;
        self.card.wait_for(&self.stream)
    }

    /// Whether a slot of the host might be written although nobody waits for it any more.
    pub(super) fn may_write_slot(&self) -> bool {
        self.may_write_slot
    }
}

/// The branches, for nvJPEG's engines.
struct Beside<'l> {
    card: &'l Card,
    stream: &'l CudaStream,
    branches: &'l Branches,
    marks: &'l mut Marks,
    joined: Result<(), CardError>,
}

impl EngineStreams for Beside<'_> {
    fn streams(&self) -> Vec<*mut c_void> {
        self.branches
            .raw()
            .into_iter()
            .map(<*mut _>::cast)
            .collect()
    }

    fn wait(&mut self, nth: usize) -> bool {
        self.branches.wait_for(nth, self.card).is_ok()
    }

    fn join(&mut self, num_images: usize) {
        let joined = self.branches.join(self.stream);
        let mut marked = || self.marks.end(self.stream, Stage::Engines, num_images);
        self.joined = joined.and_then(|()| marked());
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // Its memory is freed next. A card that does not even answer this uses no memory any more. One that hangs might: memory of the card is freed in the order
        // of the stream, and the rest, which the driver would wait for, is kept.
        if self.wait().is_err_and(|error| error.is_timed_out()) {
            std::mem::forget((self.decoder.take(), Arc::clone(&self.card)));
        }
    }
}
