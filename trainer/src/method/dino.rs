//! DINO (Caron et al. 2021) with SSLight's weights.
//!
//! One step is: teacher and student forward, loss, gradients, optimiser, teacher average. It does not know where views come from, which
//! step it is, or what is done with the numbers.

use std::rc::Rc;

use serde::{Deserialize, Serialize};
use tch::{Tensor, no_grad};

use super::step::{Method, StepRates};
use crate::batch::Batch;
use crate::collapse::judge::Collapse;
use crate::ema::MovingAverage;
use crate::learner::{Learner, Lesson};
use crate::loss::dino::{DinoLoss, LossConfig};
use crate::machine::Machine;
use crate::model::Network;
use crate::model::backbone::{Backbone, BackboneConfig};
use crate::model::head::dino::{DinoHead, HeadConfig};
use crate::model::parameters::Parameters;
use crate::optim::OptimizerConfig;
use crate::pass::{Forward, Inputs};
use crate::probe::Probe;
use crate::scalars::StepStats;
use crate::world::World;

/// Everything that decides what a DINO model is and how it learns, but for the schedules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DinoConfig {
    /// The student's backbone; the teacher's is the same without drop path.
    pub backbone: BackboneConfig,
    /// The projection head.
    pub head: HeadConfig,
    /// The loss.
    pub loss: LossConfig,
    /// The optimiser.
    pub optimizer: OptimizerConfig,
    /// Largest norm of one parameter's gradient; 0 is no limit.
    pub clip_grad: f64,
    /// Epochs in which the head's last layer stays as it is.
    pub freeze_last_layer_epochs: u64,
}

/// The method with all of its state.
#[derive(Debug)]
pub struct Dino {
    config: DinoConfig,
    student: Network<DinoHead>,
    teacher: Network<DinoHead>,
    average: MovingAverage,
    loss: DinoLoss,
    learner: Learner,
    world: Rc<dyn World>,
}

impl Dino {
    /// A student with fresh weights, a teacher equal to it, and a probe if it has classes.
    pub fn new(config: DinoConfig, probe_classes: Option<i64>, machine: &Machine) -> Dino {
        let network = |backbone: &BackboneConfig| {
            Network::new(backbone, machine, |width, scope| {
                DinoHead::new(width, &config.head, scope)
            })
        };
        let student = network(&config.backbone);
        let mut teacher = network(&config.backbone.without_drop_path());
        let average = MovingAverage::start(&mut teacher.parameters, &student.parameters);
        let probe = probe_classes.map(|classes| Probe::new(student.width(), classes, machine));
        let (optimizer, clip) = (config.optimizer.clone(), config.clip_grad);
        Dino {
            learner: Learner::new(optimizer, clip, &student.parameters, probe, machine),
            loss: DinoLoss::new(config.loss.clone(), machine),
            world: Rc::clone(&machine.world),
            config,
            student,
            teacher,
            average,
        }
    }
}

impl Method for Dino {
    fn step(&mut self, batch: &Batch, rates: StepRates) -> StepStats {
        tch::manual_seed(self.world.seed(rates.seed));
        // Global views are the first rows of the first group, also where local views have their size.
        let num_global = self.config.loss.num_global;
        let forward = |inputs: &Inputs| {
            let rows = num_global * inputs.batch_size();
            let global_views = inputs.views_nchw[0].narrow(0, 0, rows);
            let teacher_out = no_grad(|| {
                let features = self.teacher.features(&[global_views], true);
                self.teacher.head.forward(&features, true)
            });
            let features = self.student.features(&inputs.views_nchw, true);
            let student_out = self.student.head.forward(&features, true);
            let losses = self
                .loss
                .forward(&student_out, &teacher_out, &inputs.number(0));
            Forward::of(&losses, features.narrow(0, 0, inputs.batch_size()))
        };
        let is_frozen = rates.epoch < self.config.freeze_last_layer_epochs;
        let learnt = self.learner.learn(Lesson {
            batch,
            forward,
            numbers: &[rates.teacher_temp],
            way: false,
            rates: rates.optimizer,
            frozen: is_frozen.then_some("last_layer"),
        });
        self.average.update(rates.momentum);
        learnt.stats
    }

    fn backbone(&self) -> &Backbone {
        &self.student.backbone
    }

    fn student(&self) -> &Parameters {
        &self.student.parameters
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
                "the centre holds this back: lower DINO.CENTER_MOMENTUM (0.9), or raise DINO.TEACHER_TEMP a little"
            }
            Collapse::Uniform => {
                "sharpening holds this back: lower DINO.WARMUP_TEACHER_TEMP and DINO.TEACHER_TEMP (0.04 to 0.07), well below DINO.STUDENT_TEMP"
            }
            Collapse::ConstantFeatures => {
                "lower SOLVER.BASE_LR or SOLVER.WEIGHT_DECAY, raise SOLVER.WARMUP_EPOCHS and SOLVER.FREEZE_LAST_LAYER, or set DINOHead.USE_BN_IN_HEAD True"
            }
            Collapse::AtChance => {
                "lower DINO.TEACHER_TEMP, change SOLVER.BASE_LR, raise TRAIN.BATCH_SIZE or SOLVER.FREEZE_LAST_LAYER, or set DINOHead.USE_BN_IN_HEAD True"
            }
        }
    }

    fn match_student(&mut self) {
        self.teacher.parameters.copy_from(&self.student.parameters);
    }

    fn kept(&self) -> Vec<(String, Tensor)> {
        let mut kept = self.teacher.parameters.named("teacher");
        kept.push(("center".to_owned(), self.loss.center().shallow_clone()));
        kept
    }
}
