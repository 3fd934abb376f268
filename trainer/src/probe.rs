//! The joint linear probe (`TRAIN.JOINT_LINEAR_PROBE`): a linear classifier that learns along on detached features, for any method.

use tch::{Kind, Reduction, Tensor};

use crate::machine::Machine;
use crate::model::layers::Linear;
use crate::model::mlp::NewLinear;
use crate::model::parameters::Parameters;
use crate::model::precision::at_least_single;
use crate::pass::Inputs;
use crate::scalars::{Named, PROBE_LOSS};

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

impl ProbeLoss {
    /// What class scores `[b, classes]` are worth. The mean is taken over those whose class is known: over none it is 0, with the gradients, all
    /// 0, that every rank must have.
    pub fn of(logits: &Tensor, inputs: &Inputs) -> ProbeLoss {
        let (labels, num) = (&inputs.labels_b, inputs.num_labelled(logits.kind()));
        let sum = logits.cross_entropy_loss(labels, None::<&Tensor>, Reduction::Sum, -1, 0.0);
        let right = logits.argmax(-1, false).eq_tensor(labels);
        ProbeLoss {
            loss: sum / &num,
            accuracy: right.sum(Kind::Float) * 100.0 / num,
        }
    }

    /// Both as numbers of a step.
    pub fn named(&self) -> [Named; 2] {
        [
            (PROBE_LOSS, self.loss.detach()),
            ("probe_accuracy", self.accuracy.detach()),
        ]
    }
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

    /// Cross-entropy and accuracy on the features `[b, width]` of one view of the images; both 0 without any label.
    pub fn loss(&self, features_bd: &Tensor, inputs: &Inputs) -> ProbeLoss {
        let logits = self.logits(&at_least_single(&features_bd.detach()));
        ProbeLoss::of(&logits, inputs)
    }
}
