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
use crate::learner::{Learner, Learnt, Lesson};
use crate::loss::sinkhorn::Sinkhorn;
use crate::loss::swav::SwavLoss;
use crate::machine::Machine;
use crate::model::Network;
use crate::model::backbone::{Backbone, BackboneConfig};
use crate::model::head::swav::{SwavHead, SwavOutput};
use crate::model::mlp::MlpConfig;
use crate::model::parameters::Parameters;
use crate::optim::OptimizerConfig;
use crate::pass::{Forward, Inputs};
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
}

impl SwavConfig {
    /// Codes `[b, k]` of each assigned view. Embeddings of earlier batches, `queues`, stand in for a larger one.
    fn codes(
        &self,
        head: &SwavHead,
        out: &SwavOutput,
        queues: Option<&[Queue]>,
        world: &dyn World,
    ) -> Vec<Tensor> {
        let assigned = self.loss.assigned.iter().enumerate();
        let codes = assigned.map(|(place, view)| {
            let mut scores_nk = of_view(&out.scores_nk, *view, self.num_views());
            let batch_size = scores_nk.size()[0];
            if let Some(queues) = queues {
                let earlier = head.scores(queues[place].rows());
                scores_nk = Tensor::cat(&[earlier, scores_nk], 0);
            }
            let codes_nk = self.sinkhorn.codes(&scores_nk, world);
            codes_nk.narrow(0, codes_nk.size()[0] - batch_size, batch_size)
        });
        codes.collect()
    }

    fn num_views(&self) -> i64 {
        self.loss.num_global + self.loss.num_local
    }
}

/// The rows of one view, without their history.
fn of_view(rows_vb: &Tensor, view: i64, num_views: i64) -> Tensor {
    let batch_size = rows_vb.size()[0] / num_views;
    rows_vb.narrow(0, view * batch_size, batch_size).detach()
}

impl Method for Swav {
    fn step(&mut self, batch: &Batch, rates: StepRates) -> StepStats {
        tch::manual_seed(self.world.seed(rates.seed));
        let (config, world) = (&self.config, self.world.as_ref());
        let has_queue = rates.epoch >= config.queue_starts;
        let is_used = has_queue && self.queues.first().is_some_and(Queue::is_full);
        let queues = is_used.then_some(self.queues.as_slice());
        let forward = |inputs: &Inputs| {
            self.network.head.normalize_prototypes();
            let features = self.network.features(&inputs.views_nchw, true);
            let out = self.network.head.forward(&features, true);
            let codes = no_grad(|| config.codes(&self.network.head, &out, queues, world));
            let losses = config.loss.forward(&out.scores_nk, &codes);
            let assigned = config.loss.assigned.iter();
            let embeddings =
                assigned.map(|view| of_view(&out.embeddings_nd, *view, config.num_views()));
            Forward::of(&losses, features.narrow(0, 0, inputs.batch_size())).keeping(embeddings)
        };
        let is_frozen = rates.epoch < config.freeze_prototypes_epochs;
        let Learnt { mut stats, kept } = self.learner.learn(Lesson {
            batch,
            forward,
            numbers: &[],
            way: is_used,
            rates: rates.optimizer,
            frozen: is_frozen.then_some("prototypes"),
        });
        if has_queue {
            for (queue, embeddings) in self.queues.iter_mut().zip(&kept) {
                queue.push(embeddings);
            }
        }
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
