//! Learning from labels what a backbone is worth: a linear layer on a frozen backbone (linear evaluation), or a perceptron with everything
//! below it (semi-supervised evaluation, Caron et al. 2021 and SSLight section 5).
//!
//! It is a method as any other, so that its runs are saved, continued and measured as they are. Where the first weights come from is
//! not its matter.

use serde::{Deserialize, Serialize};
use tch::{Tensor, no_grad};

use super::step::{Method, StepRates};
use crate::batch::Batch;
use crate::collapse::judge::Collapse;
use crate::learner::{Learner, Lesson};
use crate::machine::Machine;
use crate::model::Network;
use crate::model::backbone::{Backbone, BackboneConfig};
use crate::model::layers::Linear;
use crate::model::mlp::{Activation, Mlp, MlpConfig};
use crate::model::parameters::Parameters;
use crate::optim::OptimizerConfig;
use crate::pass::{Forward, Inputs};
use crate::probe::ProbeLoss;
use crate::scalars::StepStats;

/// Where the backbone's tensors lie among the names.
const BACKBONE: &str = "backbone.";
/// Where the classifier's do.
const HEAD: &str = "head.";

/// Everything that decides what a classifier is and how it learns, but for the schedules and the number of classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassifierConfig {
    /// The backbone.
    pub backbone: BackboneConfig,
    /// What learns.
    pub learns: Learns,
    /// The optimiser.
    pub optimizer: OptimizerConfig,
    /// What the classifier's learning rate is multiplied with.
    pub lr_factor: f64,
}

/// What learns from the labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Learns {
    /// One linear layer; the backbone stays as it is, its running statistics too.
    Linear {
        /// Blocks of a transformer whose class tokens are the features; a convolutional backbone has but one kind.
        num_last_blocks: i64,
    },
    /// Everything.
    All {
        /// Linear layers of the classifier.
        num_layers: i64,
        /// Values of its hidden layers.
        hidden_dim: i64,
        /// Batch normalisation after every hidden layer.
        use_batch_norm: bool,
    },
}

/// The classifier with its backbone and all of its state.
#[derive(Debug)]
pub struct Classifier {
    config: ClassifierConfig,
    network: Network<Mlp>,
    learner: Learner,
}

impl ClassifierConfig {
    /// The classifier's layers; hidden ones are a DINO head's, by name and shape.
    fn head(&self, classes: i64) -> MlpConfig {
        let (num_layers, hidden_dim, use_batch_norm) = match self.learns {
            Learns::Linear { .. } => (1, 0, false),
            Learns::All {
                num_layers,
                hidden_dim,
                use_batch_norm,
            } => (num_layers, hidden_dim, use_batch_norm),
        };
        MlpConfig {
            num_layers,
            hidden_dim,
            out_dim: classes,
            use_batch_norm,
        }
    }

    /// How often the classifier sees the backbone's width.
    fn num_tokens(&self) -> i64 {
        match self.learns {
            Learns::Linear { num_last_blocks } if self.backbone.is_transformer() => num_last_blocks,
            _ => 1,
        }
    }
}

impl Classifier {
    /// A classifier of so many classes with fresh weights.
    pub fn new(config: ClassifierConfig, classes: i64, machine: &Machine) -> Classifier {
        let linear = match config.learns {
            Learns::Linear { .. } => Linear::with_small_normal,
            Learns::All { .. } => Linear::with_default_init,
        };
        let mut network = Network::new(&config.backbone, machine, |width, scope| {
            let inputs = width * config.num_tokens();
            let mut place = scope.child("mlp");
            let head = config.head(classes);
            Mlp::new(inputs, &head, Activation::Gelu, linear, &mut place)
        });
        if matches!(config.learns, Learns::Linear { .. }) {
            network.parameters.freeze_below(BACKBONE);
        }
        let optimizer = config.optimizer.clone();
        let mut learner = Learner::new(optimizer, 0.0, &network.parameters, None, machine);
        learner.scale_lr(config.lr_factor, |name| name.starts_with(HEAD));
        Classifier {
            config,
            network,
            learner,
        }
    }
}

/// Class scores `[n, classes]` of images `[n, 3, h, w]`.
fn logits(network: &Network<Mlp>, learns: &Learns, images_nchw: &Tensor, train: bool) -> Tensor {
    let features = match learns {
        Learns::Linear { num_last_blocks } => {
            no_grad(|| network.backbone.last_blocks(images_nchw, *num_last_blocks))
        }
        Learns::All { .. } => network.backbone.forward(images_nchw, train),
    };
    network.head.forward(&features, train)
}

impl Method for Classifier {
    fn step(&mut self, batch: &Batch, rates: StepRates) -> StepStats {
        tch::manual_seed(self.learner.world().seed(rates.seed));
        let (network, learns) = (&self.network, &self.config.learns);
        let forward = |inputs: &Inputs| {
            let logits = logits(network, learns, &inputs.views_nchw[0], true);
            let ProbeLoss { loss, accuracy } = ProbeLoss::of(&logits, inputs);
            let mut forward = Forward::of_loss(loss);
            forward.stats.push(("accuracy", accuracy));
            forward
        };
        let learnt = self.learner.learn(Lesson {
            batch,
            forward,
            numbers: &[],
            way: false,
            rates: rates.optimizer,
            frozen: None,
        });
        learnt.stats
    }

    fn backbone(&self) -> &Backbone {
        &self.network.backbone
    }

    fn student(&self) -> &Parameters {
        &self.network.parameters
    }

    fn learner(&self) -> &Learner {
        &self.learner
    }

    fn learner_mut(&mut self) -> &mut Learner {
        &mut self.learner
    }

    /// Labels hold a classifier up: there are no signs of a collapse to find.
    fn remedy(&self, _collapse: Collapse) -> &'static str {
        "lower SOLVER.BASE_LR"
    }

    fn kept(&self) -> Vec<(String, Tensor)> {
        Vec::new()
    }

    fn classify(&self, images_nchw: &Tensor) -> Option<Tensor> {
        Some(no_grad(|| {
            logits(&self.network, &self.config.learns, images_nchw, false)
        }))
    }
}
