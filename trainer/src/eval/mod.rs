//! Measuring what was learnt: features of a split, k-nearest neighbours, the accuracy of a probe or a classifier.

pub mod bank;
pub mod classified;
pub mod knn;

use tch::no_grad;

use crate::batch::Batch;
use crate::method::Method;
use bank::{Bank, labelled};
use classified::{ClassScores, Classified};
use knn::{KnnConfig, KnnScores};

/// What a validation gathers batch by batch, with the network in evaluation mode: features of a split, or what a classifier made of it.
#[derive(Debug, Default)]
pub struct Features {
    bank: Bank,
    probed: Classified,
    classified: Classified,
    num_samples: usize,
}

/// What one pass over the split found. Accuracies are percentages of the labelled samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Validation {
    /// Labelled samples that were scored.
    pub num_samples: usize,
    /// kNN accuracy; `None` with fewer than two labelled samples, and of a classifier.
    pub knn: Option<KnnScores>,
    /// Accuracy of the joint linear probe, if there is one.
    pub probe_top1: Option<f64>,
    /// Scores of a classifier.
    pub classifier: Option<ClassScores>,
}

impl Features {
    /// Adds the labelled images of a batch.
    pub fn add(&mut self, model: &dyn Method, batch: &Batch) {
        let images = &batch.views_nchw[0];
        let Some(rows) = labelled(batch, images.device()) else {
            return;
        };
        self.num_samples += rows.size()[0] as usize;
        no_grad(|| {
            let labels = batch.labels_tensor().index_select(0, &rows);
            if let Some(logits) = model.classify(images) {
                self.classified.add(&logits.index_select(0, &rows), &labels);
                return;
            }
            let features = model.backbone().forward(images, false);
            let features = features.index_select(0, &rows);
            if let Some(probe) = model.probe() {
                self.probed.add(&probe.logits(&features), &labels);
            }
            self.bank.add(features, batch);
        });
    }

    /// Scores everything that was added, leave one out.
    pub fn score(&self, config: &KnnConfig) -> Validation {
        let tensors = self
            .bank
            .tensors()
            .filter(|(_, labels)| labels.numel() >= 2);
        Validation {
            num_samples: self.num_samples,
            knn: tensors.map(|(features, labels)| knn::leave_one_out(&features, &labels, config)),
            probe_top1: self.probed.scores().map(|scores| scores.top1),
            classifier: self.classified.scores(),
        }
    }
}
