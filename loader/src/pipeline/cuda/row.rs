//! One row: decode a sample, draw its views, and place it in its batch. Each maker belongs to one thread.

use std::sync::atomic::Ordering;

use crate::augment::cuda::{DeviceImage, Table};
use crate::augment::{ViewKey, draw};
use crate::pipeline::cpu::Worker;
use crate::pipeline::cuda::batch::{Batch, Placed};
use crate::pipeline::replace::{Shown, first_good};

/// A thread's decoder and buffers.
#[derive(Debug)]
pub(super) struct RowMaker {
    worker: Worker,
    views: Table,
}

impl RowMaker {
    /// One that refuses images above `pixel_limit` pixels.
    pub(super) fn new(pixel_limit: u64) -> RowMaker {
        RowMaker {
            worker: Worker::new(pixel_limit),
            views: Table::new(),
        }
    }

    /// Places a row; `false` where nobody waits for it any more, or no sample is good.
    pub(super) fn fill(&mut self, batch: &Batch, row: usize) -> bool {
        let stream = &batch.stream;
        if stream.cancelled.load(Ordering::Relaxed) {
            return false;
        }
        let planned = batch.sample_ids[row];
        let shown = first_good(stream, planned, |bytes| self.worker.decode(bytes));
        let Some(shown) = shown else {
            return false;
        };
        self.describe_views(batch, shown);
        if batch.place(row, shown, self.worker.image(), &self.views) == Placed::TooLarge {
            batch.add_late(row, shown, self.views_by_cpu(batch, shown));
        }
        true
    }

    fn describe_views(&mut self, batch: &Batch, shown: Shown) {
        let image = DeviceImage {
            address: 0,
            width: self.worker.image().width(),
            height: self.worker.image().height(),
        };
        self.views.clear();
        for (view, spec) in batch.stream.recipe.views.iter().enumerate() {
            let key = key(batch, shown, view);
            let params = draw(key, spec, image.width, image.height);
            self.views.push(image, &params, spec.size, 0);
        }
    }

    fn views_by_cpu(&mut self, batch: &Batch, shown: Shown) -> Vec<Vec<u8>> {
        let views = batch.stream.recipe.views.iter().enumerate();
        let made = views.map(|(view, spec)| {
            let mut pixels = vec![0; spec.size as usize * spec.size as usize * 3];
            self.worker
                .make_view(key(batch, shown, view), spec, &mut pixels);
            pixels
        });
        made.collect()
    }
}

fn key(batch: &Batch, shown: Shown, view: usize) -> ViewKey {
    ViewKey {
        seed: batch.stream.seed,
        epoch: batch.head.epoch as u32,
        sample: shown.sample_id,
        view: view as u16,
    }
}
