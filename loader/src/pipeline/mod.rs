//! From the ids of a batch to a published slot: an [`Engine`] does that for all streams. The one there is are threads on the CPU ([`cpu`]).

pub mod cpu;
mod engine;
mod replace;
mod stream_context;

pub use engine::{BatchJob, Engine};
pub use stream_context::StreamContext;
