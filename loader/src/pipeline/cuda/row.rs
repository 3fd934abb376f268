//! One row: decode a sample or leave that to the card, draw its views, and place it in its batch. Each maker belongs to one thread.

use std::sync::atomic::Ordering;
use std::time::Instant;

use image_decode::{DecodeError, Outcome};
use loader_ipc::BatchHead;
use nvjpeg::{Decoder, Picture};

use crate::augment::cuda::{DeviceImage, Table};
use crate::augment::{ViewKey, draw};
use crate::pipeline::cpu::Worker;
use crate::pipeline::cuda::batch::{Batch, LateRow, Placed};
use crate::pipeline::cuda::jpeg;
use crate::pipeline::cuda::round::Source;
use crate::pipeline::replace::{Shown, first_good};
use crate::pipeline::stages::Stage;
use crate::pipeline::stream_context::StreamContext;

/// A thread's decoder and buffers.
#[derive(Debug)]
pub(super) struct RowMaker {
    worker: Worker,
    pixel_limit: u64,
    /// The file that the card decodes, and what its header says.
    file: Vec<u8>,
    picture: Option<Picture>,
    views: Table,
}

impl RowMaker {
    /// One that refuses images above `pixel_limit` pixels.
    pub(super) fn new(pixel_limit: u64) -> RowMaker {
        RowMaker {
            worker: Worker::new(pixel_limit),
            pixel_limit,
            file: Vec::new(),
            picture: None,
            views: Table::new(),
        }
    }

    /// Places a row, as a file where the card decodes it. `false` where nobody waits for it any more, or no sample is good.
    pub(super) fn fill(&mut self, batch: &Batch, row: usize, card_decodes: bool) -> bool {
        let stream = &batch.stream;
        if stream.cancelled.load(Ordering::Relaxed) {
            return false;
        }
        let (planned, started) = (batch.sample_ids[row], Instant::now());
        let shown = first_good(stream, planned, |bytes| self.read(bytes, card_decodes));
        let Some(shown) = shown else {
            return false;
        };
        self.describe_views(stream, &batch.head, shown);
        let (source, stage) = match &self.picture {
            Some(picture) => (Source::Jpeg(&self.file, picture), Stage::Read),
            None => (Source::Pixels(self.worker.image().pixels()), Stage::Decode),
        };
        stream.stages.add(stage, 1, started);
        if batch.place(row, shown, source, &self.views) == Placed::OnCard {
            return true;
        }
        let late = self.late(stream, &batch.head, planned, row);
        late.map(|late| batch.add_late(late)).is_some()
    }

    /// A row whose views the CPU makes, whatever the card makes of its file. `None` where no sample is good.
    pub(super) fn late(
        &mut self,
        stream: &StreamContext,
        head: &BatchHead,
        planned: u64,
        row: usize,
    ) -> Option<LateRow> {
        let decode = || first_good(stream, planned, |bytes| self.worker.decode(bytes));
        let shown = stream.stages.time(Stage::Decode, 1, decode)?;
        let views = stream.recipe.views.iter().enumerate().map(|(view, spec)| {
            let mut pixels = vec![0; spec.size as usize * spec.size as usize * 3];
            let key = key(stream, head, shown, view);
            self.worker.make_view(key, spec, &mut pixels);
            pixels
        });
        let make = || views.collect();
        let views = stream.stages.time(Stage::Views, 1, make);
        Some(LateRow { row, shown, views })
    }

    /// Keeps a file that the card decodes, by what its header says, and decodes any other.
    fn read(&mut self, bytes: &[u8], card_decodes: bool) -> Result<Outcome, DecodeError> {
        let limit = self.pixel_limit;
        let picture = card_decodes.then(|| Decoder::picture(bytes).ok()).flatten();
        self.picture = picture.filter(|picture| jpeg::num_pixels(picture) as u64 <= limit);
        if self.picture.is_none() {
            return self.worker.decode(bytes);
        }
        self.file.clear();
        self.file.extend_from_slice(bytes);
        Ok(Outcome::Clean)
    }

    fn describe_views(&mut self, stream: &StreamContext, head: &BatchHead, shown: Shown) {
        let (width, height) = match &self.picture {
            Some(picture) => (picture.width, picture.height),
            None => (self.worker.image().width(), self.worker.image().height()),
        };
        let image = DeviceImage {
            address: 0,
            width,
            height,
        };
        self.views.clear();
        for (view, spec) in stream.recipe.views.iter().enumerate() {
            let params = draw(key(stream, head, shown, view), spec, width, height);
            self.views.push(image, &params, spec.size, 0);
        }
    }
}

fn key(stream: &StreamContext, head: &BatchHead, shown: Shown, view: usize) -> ViewKey {
    ViewKey {
        seed: stream.seed,
        epoch: head.epoch as u32,
        sample: shown.sample_id,
        view: view as u16,
    }
}
