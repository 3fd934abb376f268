//! Writes a packed set: samples go in one after another, whole shards come out.
//!
//! It runs on the caller's thread, beside one that waits for the disk, and holds one shard's index in memory, never the samples.
//! It does not read images from disk, shuffle, or decide what is a class.
//!
//! Nothing bears its final name before [`SetWriter::finish`]: until then the files are called
//! `.train-000000.tar.partial`, and dropping the writer removes them, unless [`SetWriter::suspend`], or a panic, left them for
//! [`SetWriter::resume`]. What a killed process left behind is adopted by `resume` or removed by the next writer in the
//! same folder.

mod finished;
mod replaced;
mod sample;
mod set;
mod shard;
mod write_behind;

pub use finished::FinishedShard;
pub use sample::{NewSample, TAR_END_BYTES};
pub use set::{SetWriter, WriterOptions};
