//! MoCo-v2 (He et al. 2020, Chen et al. 2020) with several queries an image and SSLight's weights.
//!
//! One step is: average of the key encoder, queries of view 1 and the local views, key of view 0, contrast with a queue of earlier keys,
//! gradients, optimiser; then the keys enter the queue.

use std::rc::Rc;

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor, no_grad};

use super::step::{Method, StepRates};
use crate::batch::Batch;
use crate::collapse::judge::Collapse;
use crate::ema::MovingAverage;
use crate::learner::{Learner, Learnt, Lesson};
use crate::loss::info_nce::InfoNce;
use crate::machine::Machine;
use crate::model::Network;
use crate::model::backbone::{Backbone, BackboneConfig};
use crate::model::head::moco::MocoHead;
use crate::model::mlp::MlpConfig;
use crate::model::parameters::Parameters;
use crate::optim::OptimizerConfig;
use crate::pass::{Forward, Inputs};
use crate::probe::Probe;
use crate::queue::Queue;
use crate::scalars::StepStats;
use crate::world::World;

/// Everything that decides what a MoCo model is and how it learns, but for the schedules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MocoConfig {
    /// The query encoder's backbone; the key encoder's is the same without drop path.
    pub backbone: BackboneConfig,
    /// The projection head.
    pub head: MlpConfig,
    /// The loss.
    pub loss: InfoNce,
    /// View 1 is the only query (`MOCO.GLOBAL_ONLY`).
    pub global_only: bool,
    /// Keys in the queue, a multiple of the global batch.
    pub queue_length: i64,
    /// The optimiser.
    pub optimizer: OptimizerConfig,
    /// Largest norm of one parameter's gradient; 0 is no limit.
    pub clip_grad: f64,
}

/// The method with all of its state.
#[derive(Debug)]
pub struct Moco {
    config: MocoConfig,
    query_encoder: Network<MocoHead>,
    key_encoder: Network<MocoHead>,
    average: MovingAverage,
    queue: Queue,
    learner: Learner,
    world: Rc<dyn World>,
}

impl Moco {
    /// A query encoder with fresh weights, a key encoder equal to it, a random queue, and a probe if it has classes.
    pub fn new(config: MocoConfig, probe_classes: Option<i64>, machine: &Machine) -> Moco {
        let network = |backbone: &BackboneConfig| {
            Network::new(backbone, machine, |width, scope| {
                MocoHead::new(width, &config.head, scope)
            })
        };
        let query_encoder = network(&config.backbone);
        let mut key_encoder = network(&config.backbone.without_drop_path());
        let average = MovingAverage::start(&mut key_encoder.parameters, &query_encoder.parameters);
        let width = query_encoder.width();
        let probe = probe_classes.map(|classes| Probe::new(width, classes, machine));
        let (optimizer, clip) = (config.optimizer.clone(), config.clip_grad);
        Moco {
            learner: Learner::new(optimizer, clip, &query_encoder.parameters, probe, machine),
            queue: Queue::random_unit(config.queue_length, config.head.out_dim, machine.device),
            config,
            query_encoder,
            key_encoder,
            average,
            world: Rc::clone(&machine.world),
        }
    }
}

impl MocoConfig {
    /// View 1 and, unless it is the only query, all local views. Views 0 and 1 are the first rows of the first group.
    fn query_groups(&self, inputs: &Inputs) -> Vec<Tensor> {
        let b = inputs.batch_size();
        let (first, others) = inputs.views_nchw.split_first().expect("a batch has views");
        if self.global_only {
            return vec![first.narrow(0, b, b)];
        }
        let behind_the_key = first.narrow(0, b, first.size()[0] - b);
        let others = others.iter().map(Tensor::shallow_clone);
        std::iter::once(behind_the_key).chain(others).collect()
    }
}

/// Keys of images `[b, ..]`, made where a random order sends them: what a batch tells of itself through batch normalisation is not
/// what the queries' batch tells (He et al. 2020, section 3.3). One rank has nowhere to send them.
fn shuffled(world: &dyn World, images_b: Tensor, keys: impl Fn(Tensor) -> Tensor) -> Tensor {
    if world.size() == 1 {
        return keys(images_b);
    }
    let (b, options) = (images_b.size()[0], (Kind::Int64, images_b.device()));
    let order = world.broadcast(Tensor::randperm(world.size() * b, options));
    let mine =
        |rows: Tensor, order: &Tensor| rows.index_select(0, &order.narrow(0, world.rank() * b, b));
    let keys = keys(mine(world.gather(&images_b), &order));
    mine(world.gather(&keys), &order.argsort(0, false))
}

impl Method for Moco {
    fn step(&mut self, batch: &Batch, rates: StepRates) -> StepStats {
        tch::manual_seed(self.world.seed(rates.seed));
        self.average.update(rates.momentum);
        let (query_encoder, key_encoder) = (&self.query_encoder, &self.key_encoder);
        let (config, world) = (&self.config, self.world.as_ref());
        let keys = |view: Tensor| {
            let features = key_encoder.features(&[view], true);
            key_encoder.head.forward(&features, true)
        };
        let earlier = self.queue.rows().transpose(0, 1);
        let forward = |inputs: &Inputs| {
            let b = inputs.batch_size();
            let features = query_encoder.features(&config.query_groups(inputs), true);
            let queries = query_encoder.head.forward(&features, true);
            let view = inputs.views_nchw[0].narrow(0, 0, b);
            let keys = no_grad(|| shuffled(world, view, keys));
            let losses = config.loss.forward(&queries, &keys, &earlier);
            Forward::of(&losses, features.narrow(0, 0, b)).keeping([keys])
        };
        let Learnt { stats, kept } = self.learner.learn(Lesson {
            batch,
            forward,
            numbers: &[],
            way: false,
            rates: rates.optimizer,
            frozen: None,
        });
        self.queue.push(&self.world.gather(&kept[0]));
        stats
    }

    fn backbone(&self) -> &Backbone {
        &self.query_encoder.backbone
    }

    fn student(&self) -> &Parameters {
        &self.query_encoder.parameters
    }

    fn learner(&self) -> &Learner {
        &self.learner
    }

    fn learner_mut(&mut self) -> &mut Learner {
        &mut self.learner
    }

    fn weights(&self) -> Vec<(String, Tensor)> {
        let mut weights = self.learnt_weights();
        weights.push(("queue".to_owned(), self.queue.rows().transpose(0, 1)));
        weights
    }

    fn remedy(&self, collapse: Collapse) -> &'static str {
        match collapse {
            Collapse::Dominated | Collapse::Uniform | Collapse::ConstantFeatures => {
                "lower SOLVER.BASE_LR or SOLVER.WEIGHT_DECAY, raise SOLVER.WARMUP_EPOCHS, or raise MOCO.MOMENTUM (0.999)"
            }
            Collapse::AtChance => {
                "change SOLVER.BASE_LR, raise MOCO.MOMENTUM (0.999) or TRAIN.BATCH_SIZE, or lower MOCO.TEMPERATURE"
            }
        }
    }

    fn match_student(&mut self) {
        let student = &self.query_encoder.parameters;
        self.key_encoder.parameters.copy_from(student);
    }

    fn kept(&self) -> Vec<(String, Tensor)> {
        let mut kept = self.key_encoder.parameters.named("teacher");
        kept.extend(self.queue.named("queue"));
        kept
    }
}
