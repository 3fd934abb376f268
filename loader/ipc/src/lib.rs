//! The contract between the loader daemon and its subscribers: what is said, what lies in shared memory, and whose turn it is.
//!
//! A subscriber [connects](Client::connect) to the daemon's socket, [subscribes](Client::subscribe) with a [`Recipe`], and
//! [receives](Subscriber::receive) one [`Lease`] per batch. Pixels travel as `u8`, NHWC, grouped by view size:
//! `[num_views, batch, size, size, 3]`. Dropping the lease gives the slot back.
//!
//! # Five lines to start
//!
//! With `loader serve /data/imagenet-shards` running (as the same user, on the same machine):
//!
//! ```no_run
//! use loader_ipc::{Client, IpcError, Recipe, Subscription, default_socket};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), IpcError> {
//! let patience = Duration::from_secs(60);
//! let loader = Client::connect(&default_socket(&["/data/imagenet-shards"]), patience)?;
//! let mut batches = loader.subscribe(&Subscription::new("train", Recipe::sslight(), 256))?;
//! while let Some(batch) = batches.receive(patience)? {
//!     let (big, small) = (batch.group(0), batch.group(1)); // u8 [2, 256, 224, 224, 3] and [6, 256, 128, 128, 3], no copy
//!     println!("step {}: {:?}, {:?}, labels {:?}", batch.step(), big.shape(), small.shape(), batch.labels());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Other views: [`Recipe::named`], or any [`recipe::ViewSpec`]s. Other ranks, seeds, places to go on from: [`Subscription`].
//! `examples/contact_sheet.rs` is a whole program.
//!
//! # Protocol
//!
//! 1. Both sides send 12 bytes on the socket: `b"sslight\n"` and the protocol version (`u32`, little endian).
//! 2. The daemon sends the name of a one-shot ipc-channel server (`u32` length, UTF-8); the subscriber connects to it and sends
//!    its channel ends. A daemon that lacks descriptors, threads or memory for that sends an empty name and the reason (`u32`
//!    length, UTF-8) instead, and hangs up. From here on [`Request`]s and [`Reply`]s travel over ipc-channel.
//! 3. [`Request::Subscribe`] is answered by [`Reply::Subscribed`], and the daemon passes two descriptors over the socket
//!    (`SCM_RIGHTS`): the control segment and the views, both `memfd`s sealed against shrinking; the views are sealed against
//!    writing as well. A subscriber must refuse descriptors without the seal `F_SEAL_SHRINK`. Where the views lie in memory of a card
//!    ([`Place::Card`]) a third one comes with them, which the card's driver imports.
//! 4. Batches then need no messages at all: a turn word per slot, waited for with a futex, says whose turn it is (module
//!    `ring`, which holds the state table).
//! 5. The socket stays open as the sign of life. A daemon that ends a stream early, or itself, sends
//!    [`Reply::Closed`] first, whatever is asked or was asked of it; one that was killed does not.
//!
//! # What it deliberately does not know
//!
//! How images are found, decoded or augmented, and what tensors are. It starts no thread but one during a daemon's handshake. It leans on few crates, so that other
//! projects can subscribe without building the daemon, libtorch or CUDA.

mod default_socket;
mod error;
mod handshake;
mod layout;
mod limits;
mod listener;
mod liveness;
mod memory;
mod message;
mod named_recipes;
mod publisher;
mod reason;
pub mod recipe;
mod ring;
mod segment;
mod subscriber;
mod sync;

pub use default_socket::default_socket;
pub use error::IpcError;
pub use handshake::PROTOCOL_VERSION;
pub use layout::{CHANNELS, CardId, Geometry, Layout, MAX_BATCH, MAX_SLOTS, Place, TensorLayout};
pub use limits::MAX_SOCKET_PATH;
pub use listener::{Closer, Connection, Listener, lock_of};
pub use memory::{Room, room};
pub use message::{
    CardMemory, DaemonStatus, FailureCount, Order, Reply, Request, RouteCount, StageStatus,
    StreamInfo, SubscriberStatus, Subscription,
};
pub use publisher::{
    BatchHead, NO_LABEL, NO_SAMPLE, Publisher, RingMemory, SampleWriter, SlotWriter,
};
pub use reason::{ErrorKind, Reason};
pub use recipe::Recipe;
pub use subscriber::{Client, GroupBytes, LIVENESS_INTERVAL, Lease, Subscriber};
