//! SwAV (Caron et al. 2020) with SSLight's weights.
//!
//! One step is: prototypes to length 1, forward, codes of the assigned views (with a queue of earlier embeddings, once it is full), swapped
//! prediction, gradients, optimiser. There is no teacher.

use std::rc::Rc;

use serde::{Deserialize, Serialize};
use tch::{Tensor, no_grad};

use super::step::{Method, StepRates};
use crate::batch::Batch;
use crate::collapse::judge::Collapse;
use crate::learner::{Learner, Lesson};
use crate::loss::sinkhorn::Sinkhorn;
use crate::loss::swav::SwavLoss;
use crate::machine::Machine;
use crate::model::Network;
use crate::model::backbone::{Backbone, BackboneConfig};
use crate::model::head::swav::{SwavHead, SwavOutput};
use crate::model::mlp::MlpConfig;
use crate::model::parameters::Parameters;
use crate::optim::OptimizerConfig;
use crate::probe::Probe;
use crate::queue::Queue;
use crate::scalars::StepStats;
use crate::world::World;

/// Everything that decides what a SwAV model is and how it learns, but for the schedules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SwavConfig {
    /// The backbone.
    pub backbone: BackboneConfig,
    /// The projection.
    pub projection: MlpConfig,
    /// Number of prototypes K.
    pub num_prototypes: i64,
    /// The codes.
    pub sinkhorn: Sinkhorn,
    /// The loss.
    pub loss: SwavLoss,
    /// Rows of each assigned view's queue on one rank, a multiple of the batch; 0 is no queue.
    pub queue_length: i64,
    /// First epoch, counted from 0, in which the queue is filled.
    pub queue_starts: u64,
    /// The optimiser. Gradients are never clipped.
    pub optimizer: OptimizerConfig,
    /// Epochs in which the prototypes stay as they are.
    pub freeze_prototypes_epochs: u64,
}

/// The method with all of its state.
#[derive(Debug)]
pub struct Swav {
    config: SwavConfig,
    network: Network<SwavHead>,
    /// One for each assigned view.
    queues: Vec<Queue>,
    learner: Learner,
    world: Rc<dyn World>,
}

impl Swav {
    /// A network with fresh weights, empty queues, and a probe if it has classes.
    pub fn new(config: SwavConfig, probe_classes: Option<i64>, machine: &Machine) -> Swav {
        let network = Network::new(&config.backbone, machine, |width, scope| {
            SwavHead::new(width, &config.projection, config.num_prototypes, scope)
        });
        let width = network.width();
        let probe = probe_classes.map(|classes| Probe::with_small_normal(width, classes, machine));
        let dim = config.projection.out_dim;
        let num_queues = if config.queue_length == 0 {
            0
        } else {
            config.loss.assigned.len()
        };
        let queue = |_| Queue::zeros(config.queue_length, dim, machine.device);
        let optimizer = config.optimizer.clone();
        Swav {
            learner: Learner::new(optimizer, 0.0, &network.parameters, probe, machine),
            queues: (0..num_queues).map(queue).collect(),
            config,
            network,
            world: Rc::clone(&machine.world),
        }
    }

    /// Codes `[b, k]` of each assigned view. Embeddings of earlier batches stand in for a larger one.
    fn codes(&mut self, out: &SwavOutput, batch_size: i64, epoch: u64) -> Vec<Tensor> {
        let has_queue = epoch >= self.config.queue_starts;
        let mut codes = Vec::new();
        for (place, view) in self.config.loss.assigned.iter().enumerate() {
            let of_view = |rows: &Tensor| rows.narrow(0, view * batch_size, batch_size).detach();
            let mut scores_nk = of_view(&out.scores_nk);
            if let Some(queue) = self.queues.get_mut(place).filter(|_| has_queue) {
                if queue.is_full() {
                    let earlier = self.network.head.scores(queue.rows());
                    scores_nk = Tensor::cat(&[earlier, scores_nk], 0);
                }
                queue.push(&of_view(&out.embeddings_nd));
            }
            let codes_nk = self.config.sinkhorn.codes(&scores_nk, self.world.as_ref());
            codes.push(codes_nk.narrow(0, codes_nk.size()[0] - batch_size, batch_size));
        }
        codes
    }
}

impl Method for Swav {
    fn step(&mut self, batch: &Batch, rates: StepRates) -> StepStats {
        tch::manual_seed(self.world.seed(rates.seed));
        self.network.head.normalize_prototypes();
        let features = self.network.features(&batch.views_nchw, true);
        let out = self.network.head.forward(&features, true);
        let codes = no_grad(|| self.codes(&out, batch.batch_size(), rates.epoch));
        let losses = self.config.loss.forward(&out.scores_nk, &codes);
        let is_frozen = rates.epoch < self.config.freeze_prototypes_epochs;
        let mut stats = self.learner.learn(Lesson {
            losses,
            features_bd: &features.narrow(0, 0, batch.batch_size()),
            batch,
            rates: rates.optimizer,
            frozen: is_frozen.then_some("prototypes"),
        });
        if let Some(queue) = self.queues.first() {
            let is_used = Tensor::from(f64::from(queue.is_full()));
            stats.add("queue_is_full", &is_used);
        }
        stats
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

    fn remedy(&self, collapse: Collapse) -> &'static str {
        match collapse {
            Collapse::Dominated => {
                "lower SWAV.EPSILON (0.05; 0.03 for few images), or raise SWAV.SINKHORN_ITERATIONS"
            }
            Collapse::Uniform => {
                "lower SWAV.EPSILON (0.05; 0.03 for few images), lower SOLVER.BASE_LR, or raise SWAV.FREEZE_PROTOTYPES_EPOCHS"
            }
            Collapse::ConstantFeatures => {
                "lower SOLVER.BASE_LR or SOLVER.WEIGHT_DECAY, raise SOLVER.WARMUP_EPOCHS, or set SWAV.USE_BN_IN_HEAD True"
            }
            Collapse::AtChance => {
                "lower SWAV.EPSILON (0.05; 0.03 for few images), change SOLVER.BASE_LR, raise TRAIN.BATCH_SIZE or SWAV.FREEZE_PROTOTYPES_EPOCHS"
            }
        }
    }

    fn kept(&self) -> Vec<(String, Tensor)> {
        let queues = self.queues.iter().enumerate();
        let named = |(place, queue): (usize, &Queue)| queue.named(&format!("queue.{place}"));
        queues.flat_map(named).collect()
    }
}
