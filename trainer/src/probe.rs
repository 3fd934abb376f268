//! The joint linear probe (`TRAIN.JOINT_LINEAR_PROBE`): a linear classifier that learns along on detached features, for any method.

use tch::{Kind, Reduction, Tensor};

use crate::batch::Batch;
use crate::machine::Machine;
use crate::model::layers::Linear;
use crate::model::mlp::NewLinear;
use crate::model::parameters::Parameters;
use crate::model::precision::at_least_single;

/// What its parameters are called.
pub const CLASSIFIER: &str = "classifier";

/// A linear classifier on detached features.
#[derive(Debug)]
pub struct Probe {
    /// `classifier.weight` and `classifier.bias`.
    pub parameters: Parameters,
    linear: Linear,
}

/// What the probe made of one batch; both lie on the device and have no dimensions.
#[derive(Debug)]
pub struct ProbeLoss {
    /// Cross-entropy, to be added to the method's loss.
    pub loss: Tensor,
    /// Percent of the labelled images that were classified rightly.
    pub accuracy: Tensor,
}

impl Probe {
    /// A probe for features of `width` values, with PyTorch's first weights.
    pub fn new(width: i64, classes: i64, machine: &Machine) -> Probe {
        Probe::starting_with(Linear::with_default_init, width, classes, machine)
    }

    /// A probe that starts as SwAV's linear layers do.
    pub fn with_small_normal(width: i64, classes: i64, machine: &Machine) -> Probe {
        Probe::starting_with(Linear::with_small_normal, width, classes, machine)
    }

    fn starting_with(linear: NewLinear, width: i64, classes: i64, machine: &Machine) -> Probe {
        let mut parameters = Parameters::new();
        let mut root = parameters.scope(machine);
        let linear = linear(width, classes, &mut root.child(CLASSIFIER));
        Probe { parameters, linear }
    }

    /// Class scores `[n, classes]` of features `[n, width]`.
    pub fn logits(&self, features_nd: &Tensor) -> Tensor {
        self.linear.forward(features_nd)
    }

    /// Cross-entropy and accuracy on the features `[b, width]` of one view of the batch; both 0 without any label.
    pub fn loss(&self, features_bd: &Tensor, batch: &Batch) -> ProbeLoss {
        let num_labelled = batch.labels.iter().filter(|label| **label >= 0).count();
        // The mean over no label is no number; the sum over none has the gradients, all 0, that every rank must have.
        let reduction = match num_labelled {
            0 => Reduction::Sum,
            _ => Reduction::Mean,
        };
        let logits = self.logits(&at_least_single(&features_bd.detach()));
        let labels = batch.labels_tensor();
        let loss = logits.cross_entropy_loss(&labels, None::<&Tensor>, reduction, -1, 0.0);
        let right = logits.argmax(-1, false).eq_tensor(&labels);
        let accuracy = right.sum(Kind::Float) * (100.0 / num_labelled.max(1) as f64);
        ProbeLoss { loss, accuracy }
    }
}
