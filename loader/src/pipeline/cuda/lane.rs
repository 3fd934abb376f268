//! What one batch in flight has of the card: a stream, an event, and memory. Everything in it is used on this one stream, so what it holds is in order.
//!
//! It knows nothing of rows and threads: a batch fills its rounds. The thread that has the lane uses it.
#![allow(unsafe_code)]

use std::sync::Arc;

use cudarc::driver::{CudaEvent, CudaStream, sys};
use loader_ipc::SlotWriter;

use crate::augment::cuda::{Launch, View};
use crate::pipeline::cuda::card::Card;
use crate::pipeline::cuda::error::{CardError, failed};
use crate::pipeline::cuda::memory::{self, DeviceMemory, Piece, PinnedMemory};
use crate::pipeline::cuda::round::{Room, Round};

const MIB: usize = 1 << 20;
/// What a lane begins with, unless it may have less.
const FIRST: Room = Room {
    staging: 8 * MIB,
    scratch: 24 * MIB,
};
/// The most it may ever have: a batch of 256 photographs at once.
const MOST: Room = Room {
    staging: 256 * MIB,
    scratch: 1024 * MIB,
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
    most: Room,
    staging: PinnedMemory,
    /// What has been copied of the staging memory.
    inputs: DeviceMemory,
    scratch: DeviceMemory,
    /// The slot's tensors.
    tensors: DeviceMemory,
    /// They once more, on the host, where the card cannot write the slot.
    bounce: Option<PinnedMemory>,
}

impl Room {
    /// The most that one of `num_lanes` lanes may have.
    pub(super) fn share(card_bytes: usize, host_bytes: usize, num_lanes: usize) -> Room {
        let card = card_bytes / SHARE / num_lanes;
        let host = host_bytes / SHARE / num_lanes;
        Room {
            staging: MOST.staging.min(card / 4).min(host),
            scratch: MOST.scratch.min(card / 4 * 3),
        }
    }

    fn least(self, other: Room) -> Room {
        Room {
            staging: self.staging.min(other.staging),
            scratch: self.scratch.min(other.scratch),
        }
    }
}

impl Lane {
    /// A lane that may grow to `most`.
    pub(super) fn new(card: &Arc<Card>, most: Room) -> Result<Lane, CardError> {
        let context = card.context();
        let stream = context.new_stream().map_err(failed("making a stream"))?;
        let flags = sys::CUevent_flags::CU_EVENT_BLOCKING_SYNC;
        let done = context
            .new_event(Some(flags))
            .map_err(failed("making an event"))?;
        let room = FIRST.least(most);
        Ok(Lane {
            staging: PinnedMemory::new(context, room.staging)?,
            inputs: DeviceMemory::new(&stream, room.staging)?,
            scratch: DeviceMemory::new(&stream, room.scratch)?,
            tensors: DeviceMemory::new(&stream, 1)?,
            bounce: None,
            card: Arc::clone(card),
            stream,
            done,
            most,
        })
    }

    /// What it has for a round.
    pub(super) fn room(&self) -> Room {
        Room {
            staging: self.staging.num_bytes(),
            scratch: self.scratch.num_bytes(),
        }
    }

    /// Makes it ready for slots of `num_bytes`; `bounces` where the card cannot write them.
    pub(super) fn fit(&mut self, num_bytes: usize, bounces: bool) -> Result<(), CardError> {
        if self.tensors.num_bytes() < num_bytes {
            self.tensors = DeviceMemory::zeroed(&self.stream, num_bytes)?;
        }
        let has_bounce = self
            .bounce
            .as_ref()
            .is_some_and(|it| it.num_bytes() >= num_bytes);
        if bounces && !has_bounce {
            self.bounce = Some(PinnedMemory::new(self.card.context(), num_bytes)?);
        }
        Ok(())
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
            scratch: more(has.scratch, needed.scratch, self.most.scratch),
        };
        if wanted.staging < needed.staging || wanted.scratch < needed.scratch {
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
        let least = FIRST.least(self.most);
        if self.room() == least {
            return Ok(false);
        }
        self.most = least;
        self.resize(least).map(|()| true)
    }

    fn resize(&mut self, room: Room) -> Result<(), CardError> {
        if room.staging != self.staging.num_bytes() {
            let staging = PinnedMemory::new(self.card.context(), room.staging)?;
            self.inputs = DeviceMemory::new(&self.stream, room.staging)?;
            self.staging = staging;
        }
        if room.scratch != self.scratch.num_bytes() {
            self.scratch = DeviceMemory::new(&self.stream, room.scratch)?;
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

    /// Where an image will lie on the card.
    pub(super) fn image_address(&self, offset: usize) -> u64 {
        self.inputs.address() + offset as u64
    }

    /// Where the slot's tensors lie on the card.
    pub(super) fn tensors_address(&self) -> u64 {
        self.tensors.address()
    }

    /// Puts a round onto the stream: one copy, then the kernels.
    pub(super) fn run(&mut self, round: &Round) -> Result<(), CardError> {
        let views = round.table.views();
        let (offset, num_bytes) = round.descriptors();
        // SAFETY: the round keeps this place free of images, and nothing of it is on its way.
        unsafe { self.staging.piece(offset, num_bytes) }.write::<View>(views);
        // SAFETY: both ends are the lane's, which is not used before the stream has done it.
        unsafe {
            memory::upload(
                &self.stream,
                &self.staging,
                &self.inputs,
                offset + num_bytes,
            )?
        };
        let table = self.image_address(offset);
        for Launch { kernel, num_blocks } in round.table.launches() {
            let shape = (num_blocks, views.len() as u32);
            // SAFETY: the descriptors were made for images, scratch and tensors of this lane; the round does not take more than they hold.
            unsafe {
                self.card
                    .launch(&self.stream, kernel, shape, table, self.scratch.address())?;
            }
        }
        Ok(())
    }

    /// Puts the way back onto the stream, and the event that tells its end.
    pub(super) fn send(&mut self, slot: &mut SlotWriter, bounces: bool) -> Result<(), CardError> {
        let tensors = slot.tensors();
        let num_bytes = tensors.len();
        match &self.bounce {
            // SAFETY: both ends are the lane's.
            Some(bounce) if bounces => unsafe {
                bounce.download(&self.stream, &self.tensors, num_bytes)?;
            },
            // SAFETY: the slot is held until the event, or the stream, says that this is done.
            _ => unsafe {
                memory::download(&self.stream, &self.tensors, tensors.as_mut_ptr(), num_bytes)?;
            },
        }
        let recorded = self.done.record(&self.stream);
        recorded.map_err(failed("recording the end of a batch"))
    }

    /// Waits for the end that [`Lane::send`] announced; then the slot holds all views.
    pub(super) fn arrive(&mut self, slot: &mut SlotWriter, bounces: bool) -> Result<(), CardError> {
        let waited = self.done.synchronize();
        waited.map_err(failed("waiting for the end of a batch"))?;
        if let (Some(bounce), true) = (&self.bounce, bounces) {
            let tensors = slot.tensors();
            // SAFETY: the copy into it is done.
            tensors.copy_from_slice(unsafe { bounce.bytes(tensors.len()) });
        }
        Ok(())
    }

    /// Waits until the stream has nothing to do.
    pub(super) fn wait(&self) -> Result<(), CardError> {
        let waited = self.stream.synchronize();
        waited.map_err(failed("waiting for the card"))
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // Its memory is freed next. A card that does not even answer this uses no memory any more.
        let _ = self.wait();
    }
}
