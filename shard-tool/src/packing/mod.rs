//! From what a source holds to shards: planned, read ahead, written, gone on with.

mod budget;
pub(crate) mod classes;
pub(crate) mod dry_run;
mod journal;
pub(crate) mod jpeg;
mod missing;
pub(crate) mod plan;
pub(crate) mod read_ahead;
mod reading;
mod resume;
pub(crate) mod transcode;
pub(crate) mod write;
