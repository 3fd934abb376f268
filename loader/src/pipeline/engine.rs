//! What makes batches, whatever it runs on.

use std::fmt;
use std::sync::Arc;

use loader_ipc::{BatchHead, RouteCount, SlotWriter};

use crate::pipeline::stream_context::StreamContext;

/// Decodes images and makes their views. All streams share it; any thread may hand it work.
pub trait Engine: fmt::Debug + Send + Sync {
    /// Takes a batch, waiting while there is enough to do. What cannot be done is dropped, and a slot dropped unfinished aborts its ring.
    fn submit(&self, job: BatchJob);

    /// What it is, for people: `2 CPU threads`.
    fn describe(&self) -> String;

    /// The ways that images took so far, where there are several.
    fn routes(&self) -> Vec<RouteCount> {
        Vec::new()
    }
}

/// One batch to make.
#[derive(Debug)]
pub struct BatchJob {
    /// The stream it belongs to.
    pub stream: Arc<StreamContext>,
    /// What the slot says about it.
    pub head: BatchHead,
    /// The samples that the plan puts into its rows, one for each that is valid.
    pub sample_ids: Vec<u64>,
    /// Where it goes.
    pub slot: SlotWriter,
}
