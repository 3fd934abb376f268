//! Measuring what was learnt: features of a split, k-nearest neighbours, the accuracy of a probe or a classifier.

pub mod bank;
pub mod classified;
pub mod knn;

use std::rc::Rc;

use tch::no_grad;

use crate::batch::Batch;
use crate::method::Method;
use crate::scalars::Scalars;
use crate::world::World;
use bank::{Bank, labelled};
use classified::Classified;
use knn::KnnConfig;

/// What a validation gathers batch by batch, with the network in evaluation mode: features of a split, or what a classifier made of it.
#[derive(Debug)]
pub struct Features {
    bank: Bank,
    probed: Classified,
    classified: Classified,
    world: Rc<dyn World>,
}

/// What one pass over the split found. Accuracies are percentages of the labelled samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Validation {
    /// Labelled samples that were scored, of all ranks.
    pub num_samples: usize,
    /// Of features: `knn_top1` and `knn_top5`, leave one out, with two samples or more; `probe_top1` of the joint linear probe, if there is
    /// one. Of a classifier: `top1`, `top5` and `val_loss`, a cross-entropy.
    pub scores: Scalars,
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
            let labels = batch.labels_tensor(images.device()).index_select(0, &rows);
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
        let knn = (labels.numel() >= 2).then(|| knn::leave_one_out(&features, &labels, config));
        let knn = knn.map(|knn| [("knn_top1", knn.top1), ("knn_top5", knn.top5)]);
        let probe = self.probed.scores(world);
        let probe = probe.map(|probe| ("probe_top1", probe.top1));
        let classifier = self.classified.scores(world);
        let classes =
            classifier.map(|of| [("top1", of.top1), ("top5", of.top5), ("val_loss", of.loss)]);
        let knn = knn.into_iter().flatten().chain(probe);
        Validation {
            num_samples: classifier.map_or(labels.numel(), |scores| scores.num_samples),
            scores: knn.chain(classes.into_iter().flatten()).collect(),
        }
    }
}
