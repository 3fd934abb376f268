//! What makes batches, whatever it runs on.

use std::fmt;
use std::sync::Arc;

use loader_card::ExportedMemory;
use loader_ipc::{BatchHead, CardId, ErrorKind, Reason, RouteCount, SlotWriter};

use crate::pipeline::stream_context::StreamContext;

/// Decodes images and makes their views. All streams share it; any thread may hand it work.
pub trait Engine: fmt::Debug + Send + Sync {
    /// Takes a batch, waiting while there is enough to do. What cannot be done is dropped, and a slot dropped unfinished aborts its ring.
    fn submit(&self, job: BatchJob);

    /// An engine on another card that shares the threads of this one.
    ///
    /// # Errors
    /// Why there is none.
    fn beside(&self, card: CardId) -> Result<Arc<dyn Engine>, Reason> {
        Err(only_cpu(card.to_string()))
    }

    /// Memory of the card that it is, for the views of a whole ring.
    ///
    /// # Errors
    /// Why the views have to lie in memory of the host.
    fn card_memory(&self, _num_bytes: usize) -> Result<ExportedMemory, Reason> {
        Err(only_cpu(String::new()))
    }

    /// The card that it is, if it is one.
    fn card(&self) -> Option<CardId> {
        None
    }

    /// Bytes of the card's memory that batches in flight have.
    fn in_flight_bytes(&self) -> u64 {
        0
    }

    /// What it is, for people: `2 CPU threads`.
    fn describe(&self) -> String;

    /// The ways that images took so far, where there are several.
    fn routes(&self) -> Vec<RouteCount> {
        Vec::new()
    }
}

fn only_cpu(card: String) -> Reason {
    let what = "batches are made by the CPU";
    let remedy = "start a loader with --decoder gpu where that card is";
    Reason::new(ErrorKind::Usage, what, card, remedy)
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
