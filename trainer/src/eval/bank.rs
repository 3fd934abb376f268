//! Features of labelled images, gathered batch by batch.

use tch::{Device, Tensor};

use crate::batch::Batch;

/// Features on the device of the network, labels on the host.
#[derive(Debug, Default)]
pub struct Bank {
    features: Vec<Tensor>,
    labels: Vec<i64>,
}

/// Rows of a batch whose images have labels, on a device; `None` without any.
pub fn labelled(batch: &Batch, device: Device) -> Option<Tensor> {
    let rows = 0..batch.labels.len() as i64;
    let rows: Vec<i64> = rows
        .filter(|row| batch.labels[*row as usize] >= 0)
        .collect();
    (!rows.is_empty()).then(|| Tensor::from_slice(&rows).to_device(device))
}

impl Bank {
    /// Adds the features `[n, d]` of a batch's labelled images.
    pub fn add(&mut self, features_nd: Tensor, batch: &Batch) {
        self.features.push(features_nd);
        let known = batch.labels.iter().filter(|label| **label >= 0);
        self.labels.extend(known);
    }

    /// Number of images.
    pub fn num_samples(&self) -> usize {
        self.labels.len()
    }

    /// Features `[n, d]` and labels `[n]`; `None` without any.
    pub fn tensors(&self) -> Option<(Tensor, Tensor)> {
        if self.features.is_empty() {
            return None;
        }
        let features_nd = Tensor::cat(&self.features, 0);
        let labels_n = Tensor::from_slice(&self.labels).to_device(features_nd.device());
        Some((features_nd, labels_n))
    }
}
