//! The loader: a daemon that decodes images, makes multi-crop views of them and publishes the views through shared memory.
//!
//! Rooms: [`source`] says which samples make up which batch, [`augment`] draws and makes the views, [`decode`] is a card's part of decoding, [`pipeline`] makes batches of them (crate
//! `image-decode`, then [`augment`]), [`stream`] is one subscriber's, [`daemon`] keeps all streams. The contract with
//! subscribers is the crate `loader-ipc`.

pub mod augment;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod decode;
pub mod failures;
#[cfg(feature = "cuda")]
pub mod parity;
#[cfg(test)]
mod photographs;
pub mod pipeline;
pub mod preview;
pub mod program;
pub mod ring;
pub mod run;
pub mod set_error;
pub mod shutdown;
pub mod source;
pub mod status;
pub mod stream;
pub mod users;
