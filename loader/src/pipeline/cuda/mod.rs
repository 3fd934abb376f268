//! Batches made by an NVIDIA card. From the same pixels, the views have the bytes that the engine on the CPU would give.
//!
//! # How a batch flows
//!
//! 1. A stream hands over a batch with its slot ([`Engine::submit`](crate::pipeline::Engine::submit)). It waits for a free *lane* (`lane`): a CUDA stream with an event, pinned
//!    memory for images and files, and memory of the card for both, for what is decoded, for what kernels write in between, for what nvJPEG works with (`nvjpeg_memory`), and for one
//!    slot. There are three, so all memory is bounded.
//! 2. Threads take its images in any order (`row`). Of a JPEG that nvJPEG takes they read the header alone; any other they decode, by the rule for bad samples that the
//!    CPU follows. They draw the views' parameters. Each copies its file or image into the lane's pinned memory, and adds the descriptors of its views to the batch's
//!    table (`batch`).
//!    Which way a file goes depends on its header alone, never on who is busy: an inverse DCT of another make may be a level off, and a stream shall have the
//!    same bytes whenever it is served by the same machine. The exception is what fails, for want of memory, too; a file that
//!    nvJPEG fails at is an exception for itself alone.
//! 3. The thread that places the last row puts everything onto the lane's stream: one copy of images and descriptors to the card, the files to nvJPEG
//!    (`nvjpeg_decoders`; its engines work on streams beside the lane's, between a fork and a join: `branches`), one launch that makes pixels of its planes ([`decode`](crate::decode)), at most seven for the views
//!    ([`augment::cuda`](crate::augment::cuda)), one copy of all tensors into the slot unless that lies on the card, where kernels write it, and the event. It waits for nothing, but reads what the engines do not take.
//! 4. One thread waits for the events, one after the other, makes the rows that nvJPEG did not decode by the CPU, writes head and labels, publishes the slot, and gives
//!    the lane back.
//!
//! A slot of the host lies in shared memory that is registered with the driver (`PinnedRing`), so the card writes it by itself. A driver that refuses costs one copy
//! more, through pinned memory. A slot of the card lies in memory that its subscriber maps, too (`loader_card`).
//!
//! # Where memory is short
//!
//! A lane begins small. Where a batch does not fit into it, what is there goes to the card as a *round* (`round`), the threads wait for it, and the lane grows if it may: all lanes
//! together take at most an eighth of the card's memory, and of the host's, beside their slots. An image that fits into no round becomes views on the CPU. Where the
//! driver has no memory for another slot, lanes shrink, then there are fewer, and only then does the engine fail. Where nvJPEG has none for a round's
//! files, it gives back what it holds before the next; where that did not help, later rounds have half as many, down to a few, and only then is it nvJPEG's failure (`nvjpeg_health`).
//!
//! # Where the card fails
//!
//! Any call that fails ends the use of the card: what was on its way, and all that comes, is made by threads of the CPU, or the daemon stops
//! ([`OnFailure`]). A card that hangs has failed, too: every wait for it is a question that is asked again and again, for half a minute
//! (`loader_card::wait`, which says why), and all that it might yet write or that the driver would wait for is kept until the daemon ends. A call that waits for nothing is
//! taken to come back. Streams whose slots lie on the card end with the reason. The same holds for nvJPEG alone where it fails and no file is to blame, or its engines do so in
//! several rounds in a row: the CPU decodes for the card from then on. A slot is touched by the CPU only once the stream that
//! writes it is known to be still, or where none was told to; else its stream ends, and whoever subscribes again is served by the CPU.
//!
//! # What it takes
//!
//! Each stream of a subscriber adds up what its batches go through (`pipeline::stages`); `loader status` shows it, and what bounds the rate. Threads measure
//! what they do. On the lane's stream there is an event at the beginning and after each stage: the copy to the card, the engines, the hybrid back end, the
//! kernels, the copy back (`timing`). Nobody waits for them: their times are read when the batch's last event is passed.
//!
//! A stage lasts from the end of the one before it. So where the stream waits for the next call, as it may while nvJPEG reads files on the calling thread,
//! that is time of the stage that is to come: compare it with that of the calls. A lane that waits for what another lane keeps busy is in the stage, too;
//! so the share of a stage is that of the time in which any lane was in it.
//!
//! # What it does not know
//!
//! What a view is, and what libraries there are at build time: driver, NVRTC and nvJPEG are loaded at run time (`card`, `compile`, `nvjpeg_decoders`), and a machine without them learns what is
//! missing. It needs no card to be tested: the crates `cuda-standin` and `nvjpeg-standin` take their place.

mod batch;
mod branches;
mod card;
mod compile;
mod engine;
mod files;
mod in_flight;
mod jpeg;
mod lane;
pub(super) mod memory;
mod nvjpeg_decoders;
mod nvjpeg_health;
mod nvjpeg_memory;
mod round;
mod row;
mod timing;

pub use engine::CudaEngine;
pub use files::{CardDecoder, Pixels};
pub use in_flight::{CudaSettings, OnFailure};
