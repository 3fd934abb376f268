//! From the ids of a batch to a published slot: an [`Engine`] does that for all streams. There are threads on the CPU ([`cpu`]) and, with the feature
//! `cuda`, a card.

mod choose;
pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
mod engine;
mod engines;
mod replace;
mod stages;
mod stream_context;

pub use choose::choose;
#[cfg(not(feature = "cuda"))]
pub use choose::without_cuda;
pub use engine::{BatchJob, Engine};
pub use engines::Engines;
pub use stages::{Stage, Stages, Threads};
pub use stream_context::StreamContext;
