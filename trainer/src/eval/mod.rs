//! Measuring what was learnt: features of a split, k-nearest neighbours, the probe's accuracy.

pub mod knn;

use tch::{Device, Kind, Tensor, no_grad};

use crate::batch::Batch;
use crate::method::Method;
use knn::{KnnConfig, KnnScores};

/// Features and labels of a split, gathered batch by batch with the backbone in evaluation mode.
#[derive(Debug, Default)]
pub struct Features {
    features: Vec<Tensor>,
    labels: Vec<i64>,
    probe_hits: Option<Tensor>,
}

/// What one pass over the split found. Accuracies are percentages of the labelled samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Validation {
    /// Labelled samples that were scored.
    pub num_samples: usize,
    /// kNN accuracy; `None` with fewer than two labelled samples.
    pub knn: Option<KnnScores>,
    /// Accuracy of the joint linear probe, if there is one.
    pub probe_top1: Option<f64>,
}

impl Features {
    /// Adds the labelled images of a batch.
    pub fn add(&mut self, model: &dyn Method, batch: &Batch) {
        let labelled: Vec<i64> = (0..batch.labels.len() as i64)
            .filter(|row| batch.labels[*row as usize] >= 0)
            .collect();
        if labelled.is_empty() {
            return;
        }
        no_grad(|| {
            let images = &batch.views_nchw[0];
            let rows = Tensor::from_slice(&labelled).to_device(images.device());
            let features = model
                .backbone()
                .forward(images, false)
                .index_select(0, &rows);
            let labels = batch.labels_tensor().index_select(0, &rows);
            if let Some(probe) = model.probe() {
                let hits = probe
                    .logits(&features)
                    .argmax(-1, false)
                    .eq_tensor(&labels)
                    .sum(Kind::Float);
                self.probe_hits = Some(match self.probe_hits.take() {
                    Some(sum) => sum + hits,
                    None => hits,
                });
            }
            self.features.push(features);
        });
        let known = batch.labels.iter().filter(|label| **label >= 0);
        self.labels.extend(known);
    }

    /// Number of labelled samples so far.
    pub fn num_samples(&self) -> usize {
        self.labels.len()
    }

    /// Scores everything that was added, leave one out.
    pub fn score(&self, config: &KnnConfig) -> Validation {
        let num_samples = self.num_samples();
        let percent = 100.0 / num_samples.max(1) as f64;
        let probe_top1 = self
            .probe_hits
            .as_ref()
            .map(|hits| hits.to_device(Device::Cpu).double_value(&[]) * percent);
        let knn = (num_samples >= 2).then(|| {
            let features_nd = Tensor::cat(&self.features, 0);
            let labels_n = Tensor::from_slice(&self.labels).to_device(features_nd.device());
            knn::leave_one_out(&features_nd, &labels_n, config)
        });
        Validation {
            num_samples,
            knn,
            probe_top1,
        }
    }
}
