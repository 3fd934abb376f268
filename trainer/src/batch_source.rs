//! What the loop takes batches from: a loader's stream, or a file of batches.

use std::fmt::Debug;
use std::time::Duration;

use loader_ipc::CardMemory;

use crate::batch::{Batch, Normalizer};
use crate::failure::Failure;

/// Batches for training, one after another.
pub trait BatchSource: Debug {
    /// What is known before the first batch.
    fn facts(&self) -> DataFacts;

    /// What the daemon behind it has of a card's memory, as CUDA counts cards here; `None` where it has nothing, or does not tell.
    fn card_memory(&self, _card: usize) -> Option<CardMemory> {
        None
    }

    /// Waits for the next batch and brings it to the normaliser's device.
    ///
    /// # Errors
    /// When the source died, ended the stream, or gave nothing in time.
    fn next(&mut self, normalizer: &Normalizer) -> Result<Next, Failure>;
}

/// What a source knows of its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataFacts {
    /// Images in all.
    pub num_samples: u64,
    /// How many of them have no label.
    pub num_unlabelled: u64,
    /// Classes of their labels; 0 without any.
    pub num_classes: i64,
    /// Steps in an epoch.
    pub steps_per_epoch: u64,
}

/// What came next.
#[derive(Debug)]
pub enum Next {
    /// A batch, and how long it was waited for.
    Batch(Batch, Duration),
    /// Every epoch was served.
    End,
    /// A stop was asked for while waiting.
    Stopped,
}
