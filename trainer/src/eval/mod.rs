//! Measuring what was learnt: features of a split, k-nearest neighbours, the accuracy of a probe or a classifier.

pub mod bank;
pub mod classified;
pub mod knn;

use std::rc::Rc;

use tch::no_grad;

use crate::batch::Batch;
use crate::method::Method;
use crate::world::World;
use bank::{Bank, labelled};
use classified::{ClassScores, Classified};
use knn::{KnnConfig, KnnScores};

/// What a validation gathers batch by batch, with the network in evaluation mode: features of a split, or what a classifier made of it.
#[derive(Debug)]
pub struct Features {
    bank: Bank,
    probed: Classified,
    classified: Classified,
    world: Rc<dyn World>,
}

/// What one pass over the split found. Accuracies are percentages of the labelled samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Validation {
    /// Labelled samples that were scored, of all ranks.
    pub num_samples: usize,
    /// kNN accuracy; `None` with fewer than two labelled samples, and of a classifier.
    pub knn: Option<KnnScores>,
    /// Accuracy of the joint linear probe, if there is one.
    pub probe_top1: Option<f64>,
    /// Scores of a classifier.
    pub classifier: Option<ClassScores>,
}

impl Features {
    /// Of no images yet.
    pub fn of(model: &dyn Method) -> Features {
        let device = model.learner().device();
        Features {
            bank: Bank::new(model.backbone().width(), device),
            probed: Classified::new(device),
            classified: Classified::new(device),
            world: model.learner().world(),
        }
    }

    /// Adds the labelled images of a batch.
    pub fn add(&mut self, model: &dyn Method, batch: &Batch) {
        let images = &batch.views_nchw[0];
        let Some(rows) = labelled(batch, images.device()) else {
            return;
        };
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

    /// Scores everything that was added on any rank, leave one out.
    pub fn score(&self, config: &KnnConfig) -> Validation {
        let world = self.world.as_ref();
        let (features, labels) = self.bank.gather(world);
        let classifier = self.classified.scores(world);
        let knn = || knn::leave_one_out(&features, &labels, config);
        Validation {
            num_samples: classifier.map_or(labels.numel(), |scores| scores.num_samples),
            knn: (labels.numel() >= 2).then(knn),
            probe_top1: self.probed.scores(world).map(|scores| scores.top1),
            classifier,
        }
    }
}
