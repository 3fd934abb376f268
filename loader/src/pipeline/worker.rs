//! One worker: decode a sample once, make all its views, write them where the subscriber reads them.
//!
//! In place of a bad sample comes the next good one that the stream serves: ids count up, and begin anew at the end. Its row then has the views and the
//! label of the other sample. Every rank finds the same one. Trouble that is no sample's fault, such as a full disk, stops the daemon instead.
//! Each worker belongs to one thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use image_decode::{DecodeError, Decoder, Outcome, RgbImage};
use loader_ipc::recipe::ViewSpec;
use loader_ipc::{ErrorKind, NO_LABEL, Reason, Recipe, SampleWriter};
use shard_format::Sample;

use crate::augment::{CpuAugmenter, ViewKey, draw};
use crate::failures::{BadSample, Failures, Verdict};
use crate::set_error;
use crate::shutdown::{Shutdown, Stop};
use crate::source::{Samples, Selection};

/// How many neighbours are tried in place of a bad sample.
const MAX_REPLACEMENTS: u64 = 64;

/// What all rows of a stream share.
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
    /// Set when the subscriber is gone: no work is done for it any more.
    pub cancelled: AtomicBool,
}

/// One row to fill.
#[derive(Debug)]
pub struct Job {
    /// The stream it belongs to.
    pub stream: Arc<StreamContext>,
    /// Epoch of the batch.
    pub epoch: u32,
    /// The sample that the plan puts here.
    pub sample_id: u64,
    /// The row.
    pub writer: SampleWriter,
}

/// A thread's decoder, augmenter and buffers.
#[derive(Debug)]
pub struct Worker {
    decoder: Decoder,
    augmenter: CpuAugmenter,
    image: RgbImage,
}

impl Worker {
    /// A worker that refuses images above `pixel_limit` pixels.
    pub fn new(pixel_limit: u64) -> Worker {
        Worker {
            decoder: Decoder::new(pixel_limit),
            augmenter: CpuAugmenter::new(),
            image: RgbImage::new(),
        }
    }

    /// Fills one row. Where nobody waits for it any more, or no sample is good, the row stays unfinished, and that aborts the ring.
    pub fn run(&mut self, job: Job) {
        let Job {
            stream,
            epoch,
            sample_id,
            mut writer,
        } = job;
        if stream.cancelled.load(Ordering::Relaxed) {
            return;
        }
        let Some((id, label)) = self.decode_or_replace(&stream, sample_id) else {
            return;
        };
        for (view, spec) in stream.recipe.views.iter().enumerate() {
            let key = ViewKey {
                seed: stream.seed,
                epoch,
                sample: id,
                view: view as u16,
            };
            self.make_view(key, spec, writer.view(view));
        }
        if writer.finish(label, id) {
            stream.num_published.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Decodes `bytes` into the worker's image.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn decode(&mut self, bytes: &[u8]) -> Result<Outcome, DecodeError> {
        self.decoder.decode(bytes, &mut self.image)
    }

    /// The image that was decoded last.
    pub fn image(&self) -> &RgbImage {
        &self.image
    }

    /// Draws the view named by `key` and writes it as `u8 [size, size, 3]`.
    pub fn make_view(&mut self, key: ViewKey, spec: &ViewSpec, out: &mut [u8]) {
        let params = draw(key, spec, self.image.width(), self.image.height());
        self.augmenter.apply(&self.image, &params, spec.size, out);
    }

    fn decode_or_replace(&mut self, stream: &StreamContext, sample_id: u64) -> Option<(u64, i64)> {
        let num_samples = stream.selection.num_samples();
        for distance in 0..num_samples.min(MAX_REPLACEMENTS + 1) {
            let id = stream.selection.after(sample_id, distance);
            if let Some(label) = self.decode_sample(stream, id) {
                return Some((id, label));
            }
            if stream.shutdown.is_triggered() {
                return None;
            }
        }
        let place = format!(
            "split `{}`: sample {sample_id} and the {MAX_REPLACEMENTS} after it",
            stream.split
        );
        let what = "no good sample after a bad one";
        let reason = Reason::new(ErrorKind::Data, what, place, "check the data set");
        stream.shutdown.trigger(Stop::Failed(reason));
        None
    }

    fn decode_sample(&mut self, stream: &StreamContext, id: u64) -> Option<i64> {
        let found = stream.set.sample(id);
        let found = found.and_then(|sample| Ok((sample, sample.image()?)));
        let (sample, image) = match found {
            Ok(found) => found,
            Err(error) if set_error::kind(&error) == ErrorKind::Resources => {
                let reason = set_error::reason(&error);
                stream.shutdown.trigger(Stop::Failed(reason));
                return None;
            }
            Err(error) => {
                report(stream, id, "index", error.to_string());
                return None;
            }
        };
        match self.decode(image) {
            Ok(Outcome::Clean) => {}
            Ok(Outcome::Recovered) => {
                if stream.failures.report_recovered(&stream.split, id) {
                    tracing::warn!(
                        "a damaged image was recovered; {}; replace the file",
                        place(&sample)
                    );
                }
            }
            Err(error) => {
                report(
                    stream,
                    id,
                    error.cause(),
                    format!("{error}; {}; {}", place(&sample), error.remedy()),
                );
                return None;
            }
        }
        Some(sample.label.map_or(NO_LABEL, i64::from))
    }
}

fn report(stream: &StreamContext, id: u64, cause: &'static str, place: String) {
    let num_samples = stream.set.num_samples();
    let bad = BadSample {
        split: &stream.split,
        id,
        num_samples,
        cause,
        place: place.clone(),
    };
    match stream.failures.report(bad) {
        Verdict::Known => {}
        Verdict::New => tracing::warn!("sample {id} is replaced by its neighbour: {place}"),
        Verdict::OverBudget(reason) => stream.shutdown.trigger(Stop::OverBudget(reason)),
    }
}

fn place(sample: &Sample<'_>) -> String {
    format!(
        "{}, key {}, offset {}",
        sample.shard, sample.key, sample.offset
    )
}
