//! DINO's cross-entropy between views with SSLight's two weights, and the centre (Caron et al. 2021, algorithm 1; SSLight
//! section 3.3.4).
//!
//! Shapes: `v` views, `b` images, `k` prototypes; rows are view-major (`row = view * b + image`), global views first.

use std::rc::Rc;

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor, no_grad};

use super::parts::{Choices, LossParts, Weights};
use crate::machine::Machine;
use crate::world::World;

/// `DINO.*` and `MULTI_VIEWS_TRANSFORMS.{NMB_CROPS,LAMBDAS}`, as far as the loss needs them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LossConfig {
    /// Views that the teacher sees.
    pub num_global: i64,
    /// Views that only the student sees.
    pub num_local: i64,
    /// Weight of the mean over global-global pairs, weight of the mean over global-local pairs.
    pub weights: Weights,
    /// Only the global-global pairs, unweighted (`DINO.GLOBAL_ONLY`).
    pub global_only: bool,
    /// Temperature of the student's softmax.
    pub student_temp: f64,
    /// Share of the old centre that stays at each step.
    pub center_momentum: f64,
    /// Number of prototypes K.
    pub out_dim: i64,
}

/// The loss and its only state, the centre.
#[derive(Debug)]
pub struct DinoLoss {
    config: LossConfig,
    center_1k: Tensor,
    world: Rc<dyn World>,
}

impl DinoLoss {
    /// A centre of zeros.
    pub fn new(config: LossConfig, machine: &Machine) -> DinoLoss {
        let center_1k = Tensor::zeros([1, config.out_dim], (Kind::Float, machine.device));
        DinoLoss {
            config,
            center_1k,
            world: Rc::clone(&machine.world),
        }
    }

    /// The centre `[1, k]`.
    pub fn center(&self) -> &Tensor {
        &self.center_1k
    }

    /// The loss of one step; afterwards the centre has moved towards the teacher's mean output.
    ///
    /// `teacher_temp` has no dimensions, `student_vbk` is `[v * b, k]`, `teacher_vbk` `[num_global * b, k]`, both raw logits.
    pub fn forward(
        &mut self,
        student_vbk: &Tensor,
        teacher_vbk: &Tensor,
        teacher_temp: &Tensor,
    ) -> LossParts {
        let views = self.config.num_global + self.config.num_local;
        let k = self.config.out_dim;
        let log_p = (student_vbk / self.config.student_temp).log_softmax(-1, None::<Kind>);
        let log_p = log_p.view([views, -1, k]);
        let target = ((teacher_vbk - &self.center_1k) / teacher_temp)
            .softmax(-1, None::<Kind>)
            .detach()
            .view([self.config.num_global, -1, k]);
        let losses = self.weigh(&log_p, &target);
        self.update_center(teacher_vbk);
        losses
    }

    fn weigh(&self, log_p_vbk: &Tensor, target_gbk: &Tensor) -> LossParts {
        let global = self.global_pairs(log_p_vbk, target_gbk);
        let choices = Choices::Targets(target_gbk.flatten(0, 1));
        if self.config.global_only {
            return LossParts::global_only(global, choices);
        }
        let local = self.local_pairs(log_p_vbk, target_gbk);
        LossParts::weighted(global, local, self.config.weights, choices)
    }

    /// Mean cross-entropy over pairs of different global views.
    ///
    /// Summing over all pairs and taking those of a view with itself away needs two products instead of one per pair.
    fn global_pairs(&self, log_p_vbk: &Tensor, target_gbk: &Tensor) -> Tensor {
        let g = self.config.num_global;
        let log_p_gbk = log_p_vbk.narrow(0, 0, g);
        let rest = log_p_gbk.sum_dim_intlist([0].as_slice(), true, None::<Kind>) - &log_p_gbk;
        self.mean_cross_entropy(target_gbk, &rest, g * (g - 1))
    }

    /// Mean cross-entropy of every global view's target against every local view.
    fn local_pairs(&self, log_p_vbk: &Tensor, target_gbk: &Tensor) -> Tensor {
        let (g, l) = (self.config.num_global, self.config.num_local);
        let sum = |x: Tensor| x.sum_dim_intlist([0].as_slice(), false, None::<Kind>);
        let log_p_bk = sum(log_p_vbk.narrow(0, g, l));
        let target_bk = sum(target_gbk.shallow_clone());
        self.mean_cross_entropy(&target_bk, &log_p_bk, g * l)
    }

    fn mean_cross_entropy(&self, target: &Tensor, log_p: &Tensor, num_pairs: i64) -> Tensor {
        let batch = log_p.size()[log_p.dim() - 2];
        -(target * log_p).sum(None::<Kind>) / (num_pairs * batch) as f64
    }

    fn update_center(&mut self, teacher_vbk: &Tensor) {
        no_grad(|| {
            let mean_1k = teacher_vbk.mean_dim([0].as_slice(), true, None::<Kind>);
            let mean_1k = self.world.mean(mean_1k);
            let _ = self
                .center_1k
                .lerp_(&mean_1k, 1.0 - self.config.center_momentum);
        });
    }
}
