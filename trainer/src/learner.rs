//! From a loss to new parameters, in one place and one order: the probe's loss, gradients, their mean over ranks, clipping, dropping,
//! optimiser. It knows no method and no schedule.

use std::rc::Rc;

use tch::{Device, Kind, Tensor, no_grad};

use crate::batch::Batch;
use crate::collapse::measure;
use crate::loss::parts::LossParts;
use crate::model::parameters::Parameters;
use crate::optim::{Optimizer, OptimizerConfig, Rates};
use crate::phases::{BACKWARD, OPTIMISER, timed};
use crate::probe::{CLASSIFIER, Probe};
use crate::scalars::StepStats;
use crate::world::World;

/// The optimiser of a network and of the joint linear probe on its features.
#[derive(Debug)]
pub struct Learner {
    optimizer: Optimizer,
    clip_grad: f64,
    probe: Option<Probe>,
    world: Rc<dyn World>,
    /// Norms of the network's gradients at the last step, `[parameters]`.
    gradient_norms: Option<Tensor>,
    is_guarded: bool,
}

/// What one step learns from.
#[derive(Debug)]
pub struct Lesson<'a> {
    /// The method's loss.
    pub losses: LossParts,
    /// Features `[b, width]` of one view of each image, for the probe; their gradient goes no further.
    pub features_bd: &'a Tensor,
    /// The images' labels.
    pub batch: &'a Batch,
    /// Learning rate and weight decay.
    pub rates: Rates,
    /// A parameter with this in its name is left alone, as if it had no gradient.
    pub frozen: Option<&'static str>,
}

impl Learner {
    /// Learns the trainable tensors of a network and its probe. `clip_grad` is the largest norm of one parameter's gradient; 0 is no limit.
    pub fn new(
        config: OptimizerConfig,
        clip_grad: f64,
        network: &Parameters,
        probe: Option<Probe>,
        world: Rc<dyn World>,
    ) -> Learner {
        let of_probe = probe.iter().flat_map(|probe| probe.parameters.trainable());
        Learner {
            optimizer: Optimizer::new(config, network.trainable().chain(of_probe)),
            clip_grad,
            probe,
            world,
            gradient_norms: None,
            is_guarded: false,
        }
    }

    /// Multiplies the learning rate of the parameters that `is_scaled` names.
    pub fn scale_lr(&mut self, factor: f64, is_scaled: impl Fn(&str) -> bool) {
        self.optimizer.scale_lr(factor, is_scaled);
    }

    /// From now on a step whose loss or gradient is no number changes neither parameters nor the optimiser's state. The numbers are
    /// waited for before the update; on the CPU that costs nothing.
    pub fn guard(&mut self) {
        self.is_guarded = true;
    }

    /// One update from a method's loss and the probe's. The norm among what was measured is that of [`Learner::descend`].
    pub fn learn(&mut self, lesson: Lesson) -> StepStats {
        let probe = self.probe.as_ref();
        let probed = probe.and_then(|probe| probe.loss(lesson.features_bd, lesson.batch));
        let loss = lesson.losses.with_probe(probed.as_ref());
        let norm = self.descend(&loss, lesson.rates, lesson.frozen);
        let mut stats = StepStats::new(&lesson.losses, probed, norm);
        for (name, value) in measure::signs(&lesson.losses, lesson.features_bd) {
            stats.add(name, &value);
        }
        stats
    }

    /// One update from a loss; gives the norm of the network's gradient, before it was clipped and without the probe's. A parameter with
    /// `frozen` in its name is left alone, as if it had no gradient.
    pub fn descend(&mut self, loss: &Tensor, rates: Rates, frozen: Option<&str>) -> Tensor {
        let mut gradients = timed(BACKWARD, || self.gradients(loss));
        let norm = no_grad(|| self.norm(&gradients));
        if self.is_guarded && !is_finite(loss, &norm) {
            return norm;
        }
        let is_frozen = |name: &str| frozen.is_some_and(|part| name.contains(part));
        timed(OPTIMISER, || {
            if self.clip_grad > 0.0 {
                self.optimizer
                    .clip(&mut gradients, self.clip_grad, is_of_network);
            }
            self.optimizer.step(&gradients, rates, is_frozen);
        });
        norm
    }

    /// The mean over ranks of the gradient of each parameter.
    fn gradients(&self, loss: &Tensor) -> Vec<Tensor> {
        let gradients = Tensor::run_backward(&[loss], &self.optimizer.params(), false, false);
        let gradients = gradients.into_iter();
        gradients.map(|mine| self.world.mean(mine)).collect()
    }

    /// The joint linear probe, if there is one.
    pub fn probe(&self) -> Option<&Probe> {
        self.probe.as_ref()
    }

    fn norm(&mut self, gradients: &[Tensor]) -> Tensor {
        let named = self.optimizer.names().zip(gradients);
        let of_network = named.filter(|(name, _)| is_of_network(name));
        let norms: Vec<Tensor> = of_network.map(|(_, gradient)| gradient.norm()).collect();
        let norms = self.gradient_norms.insert(Tensor::stack(&norms, 0));
        norms.to_kind(Kind::Double).norm()
    }

    /// Norms of the network's gradients at the last step, by name; waits for the device.
    pub fn gradient_norms(&self) -> Vec<(String, f64)> {
        let names = self.optimizer.names().filter(|name| is_of_network(name));
        let norms = self.gradient_norms.iter().flat_map(|norms| {
            Vec::<f64>::try_from(norms.to_kind(Kind::Double)).expect("norms are numbers")
        });
        names.map(str::to_owned).zip(norms).collect()
    }

    /// Number of values that are learnt.
    pub fn num_learnt(&self) -> usize {
        let params = self.optimizer.params().into_iter();
        params.map(Tensor::numel).sum()
    }

    /// Where it learns.
    pub fn device(&self) -> Device {
        self.optimizer.params()[0].device()
    }

    /// The optimiser's state by name, for a checkpoint.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        self.optimizer.state()
    }

    /// Takes the state back; `find` gives the tensor of a name.
    ///
    /// # Errors
    /// The first name that is missing or has another shape.
    pub fn restore(
        &mut self,
        find: impl Fn(&str, &[i64]) -> Result<Tensor, String>,
    ) -> Result<(), String> {
        self.optimizer.restore(find)
    }

    /// Converts the state to the precision that the parameters were converted to.
    pub fn convert(&mut self, kind: Kind) {
        self.optimizer.convert(kind);
    }
}

/// Waits for the device.
fn is_finite(loss: &Tensor, norm: &Tensor) -> bool {
    let sum = loss.detach().to_kind(Kind::Double) + norm;
    sum.double_value(&[]).is_finite()
}

/// The probe is not part of the network: the reference does not clip it.
fn is_of_network(name: &str) -> bool {
    !name.starts_with(CLASSIFIER)
}
