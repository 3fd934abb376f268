//! Features of labelled images, gathered batch by batch, then over all ranks.

use tch::{Device, Kind, Tensor};
use torch_shim::transfer;

use crate::batch::Batch;
use crate::world::World;

/// Features on the device of the network, labels on the host.
#[derive(Debug)]
pub struct Bank {
    /// The first has no rows: it says how wide the others are, where there are none.
    features: Vec<Tensor>,
    labels: Vec<i64>,
}

/// Rows of a batch whose images have labels, on a device; `None` without any.
pub fn labelled(batch: &Batch, device: Device) -> Option<Tensor> {
    let rows = 0..batch.labels.len() as i64;
    let rows: Vec<i64> = rows
        .filter(|row| batch.labels[*row as usize] >= 0)
        .collect();
    (!rows.is_empty()).then(|| transfer::to_device(&Tensor::from_slice(&rows), device))
}

impl Bank {
    /// No images yet, of features with so many values.
    pub fn new(width: i64, device: Device) -> Bank {
        Bank {
            features: vec![Tensor::zeros([0, width], (Kind::Float, device))],
            labels: Vec::new(),
        }
    }

    /// Adds the features `[n, width]` of a batch's labelled images.
    pub fn add(&mut self, features_nd: Tensor, batch: &Batch) {
        self.features.push(features_nd);
        let known = batch.labels.iter().filter(|label| **label >= 0);
        self.labels.extend(known);
    }

    /// Features `[n, width]` and labels `[n]` of all ranks' images.
    pub fn gather(&self, world: &dyn World) -> (Tensor, Tensor) {
        let features_nd = Tensor::cat(&self.features, 0);
        let labels_n = Tensor::from_slice(&self.labels).to_device(features_nd.device());
        (
            world.gather_uneven(&features_nd),
            world.gather_uneven(&labels_n),
        )
    }
}
