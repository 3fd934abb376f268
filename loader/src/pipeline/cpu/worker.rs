//! One worker: decode a sample once, make all its views, write them where the subscriber reads them.
//!
//! Each worker belongs to one thread.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use image_decode::{DecodeError, Decoder, Outcome, RgbImage};
use loader_ipc::SampleWriter;
use loader_ipc::recipe::ViewSpec;

use crate::augment::{CpuAugmenter, ViewKey, draw};
use crate::pipeline::replace::{Shown, first_good};
use crate::pipeline::stages::Stage;
use crate::pipeline::stream_context::StreamContext;

/// One row to fill.
#[derive(Debug)]
pub(super) struct Row {
    /// The stream it belongs to.
    pub(super) stream: Arc<StreamContext>,
    /// Epoch of the batch.
    pub(super) epoch: u32,
    /// The sample that the plan puts here.
    pub(super) planned: u64,
    /// Where it goes.
    pub(super) writer: SampleWriter,
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
    pub(super) fn fill(&mut self, row: Row) {
        let Row {
            stream,
            epoch,
            planned,
            mut writer,
        } = row;
        if stream.cancelled.load(Ordering::Relaxed) {
            return;
        }
        let decode = || first_good(&stream, planned, |bytes| self.decode(bytes));
        let shown = stream.stages.time(Stage::Decode, 1, decode);
        let Some(Shown { sample_id, label }) = shown else {
            return;
        };
        let started = Instant::now();
        for (view, spec) in stream.recipe.views.iter().enumerate() {
            let key = ViewKey {
                seed: stream.seed,
                epoch,
                sample: sample_id,
                view: view as u16,
            };
            self.make_view(key, spec, writer.view(view));
        }
        stream.stages.add(Stage::Views, 1, started);
        if writer.finish(label, sample_id) {
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
}
