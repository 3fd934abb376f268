//! What an engine must know about a stream.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64};

use loader_card::ExportedMemory;
use loader_ipc::{Reason, Recipe};

use crate::failures::Failures;
#[cfg(feature = "cuda")]
use crate::pipeline::cuda::memory::PinnedRing;
use crate::pipeline::stages::Stages;
use crate::shutdown::Shutdown;
use crate::source::{Samples, Selection};

/// What all batches of a stream share.
#[derive(Debug)]
pub struct StreamContext {
    /// The split.
    pub set: Arc<Samples>,
    /// Those of it that are served.
    pub selection: Selection,
    /// Name of the split.
    pub split: String,
    /// The views.
    pub recipe: Recipe,
    /// Seed of the views.
    pub seed: u64,
    /// Where bad samples are reported.
    pub failures: Arc<Failures>,
    /// Stops the daemon.
    pub shutdown: Shutdown,
    /// Batches published so far.
    pub num_published: AtomicU64,
    /// What its batches have gone through so far.
    pub stages: Stages,
    /// Set when the subscriber is gone: no work is done for it any more.
    pub cancelled: AtomicBool,
    /// What became of the stream's batches, where its engine knows more than that one was lost.
    pub lost: OnceLock<Reason>,
    /// Memory of a card that holds the views; `None` where they lie in memory of the host.
    pub card_memory: Option<ExportedMemory>,
    /// The ring, where a card writes it by itself; `None` inside where the card refused that.
    #[cfg(feature = "cuda")]
    pub pinned: OnceLock<Option<PinnedRing>>,
}
