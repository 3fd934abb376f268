//! A validation: one pass over the validation split, from the loader's views to accuracies.

use std::path::PathBuf;
use std::time::Duration;

use loader_ipc::{ErrorKind, IpcError, Order, Recipe, Subscription};

use crate::batch::Normalizer;
use crate::batch_source::{BatchSource, DataFacts, Next};
use crate::batch_stream::BatchStream;
use crate::eval::knn::KnnConfig;
use crate::eval::{Features, Validation};
use crate::failure::Failure;
use crate::method::Method;
use crate::stop::Stop;

/// Images of the training split that stand in where there is no validation split.
const MAX_STAND_IN: u64 = 5_000;

/// Asks the loader for the validation split and scores the student on it.
#[derive(Debug)]
pub struct Validator {
    /// Where the loader answers.
    pub socket: PathBuf,
    /// Longest wait for a batch.
    pub timeout: Duration,
    /// The validation view.
    pub recipe: Recipe,
    /// Names of the images to validate on; else all of the split are.
    pub subset: Option<Vec<String>>,
    /// Bytes to values, in single precision.
    pub normalizer: Normalizer,
    /// Images per batch.
    pub batch_size: u32,
    /// Slots of the ring in shared memory.
    pub num_slots: Option<u32>,
    /// Order of the stand-in, where there is one.
    pub seed: u64,
    /// Images of the training split.
    pub num_train: u64,
    /// The split in use.
    pub split: Split,
}

/// What a validation is made on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// The validation split.
    Val,
    /// At most 5,000 images of the training split, because there is no validation split.
    Train,
}

/// How a validation ended.
#[derive(Debug)]
pub enum Validated {
    /// With scores.
    Done(Validation),
    /// A stop was asked for.
    Stopped,
}

impl Split {
    /// The loader's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Split::Val => "val",
            Split::Train => "train",
        }
    }
}

/// Only labelled images are scored.
fn left_out(facts: &DataFacts) -> Option<String> {
    let (num, all) = (facts.num_unlabelled, facts.num_samples);
    (num > 0).then(|| format!("validation: {num} of {all} images have no label and are left out"))
}

impl Validator {
    /// Chooses the split: the training split stands in where the loader has no validation split. Returns a line about that, or about images that
    /// are left out.
    ///
    /// # Errors
    /// When neither can be subscribed to.
    pub fn choose_split(&mut self, stop: &Stop) -> Result<Option<String>, Failure> {
        match self.open(stop) {
            Ok(batches) => Ok(left_out(&batches.facts())),
            Err(IpcError::Refused(reason))
                // A list is of images of one split: none other stands in.
                if self.subset.is_none()
                    && matches!(reason.kind, ErrorKind::Usage | ErrorKind::Data) =>
            {
                self.split = Split::Train;
                self.open(stop)?;
                let used = self.num_train.min(MAX_STAND_IN);
                Ok(Some(format!(
                    "validation: on {used} images of the training split, since the loader says: {reason}"
                )))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// One pass.
    ///
    /// # Errors
    /// When the loader fails.
    pub fn run(&self, model: &dyn Method, stop: &Stop) -> Result<Validated, Failure> {
        let mut batches = self.open(stop)?;
        let mut features = Features::of(model);
        let mut num_seen = 0;
        while num_seen < self.limit() {
            match batches.next(&self.normalizer)? {
                Next::Batch(batch, _) => {
                    num_seen += batch.batch_size() as u64;
                    features.add(model, &batch);
                }
                Next::End => break,
                Next::Stopped => return Ok(Validated::Stopped),
            }
            if stop.is_asked() {
                return Ok(Validated::Stopped);
            }
        }
        Ok(Validated::Done(features.score(&KnnConfig::default())))
    }

    fn limit(&self) -> u64 {
        match self.split {
            Split::Val => u64::MAX,
            Split::Train => MAX_STAND_IN,
        }
    }

    fn open(&self, stop: &Stop) -> Result<BatchStream, IpcError> {
        // The training split lies sorted by class: its first images would be of few classes.
        let is_sample = self.split == Split::Train && self.num_train > MAX_STAND_IN;
        let subscription = Subscription {
            name: "trainer, validation".to_owned(),
            subset: self.subset.clone(),
            seed: self.seed,
            order: if is_sample {
                Order::Shuffled
            } else {
                Order::Sequential
            },
            drop_last: is_sample,
            num_slots: self.num_slots,
            ..Subscription::new(self.split.name(), self.recipe.clone(), self.batch_size)
        };
        BatchStream::open(&self.socket, self.timeout, &subscription, stop.clone())
    }
}
