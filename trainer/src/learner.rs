//! From a batch to new parameters, in one place and one order: the method's forward pass, the probe's loss, scaling, gradients, their mean
//! over ranks; then clipping, dropping, optimiser. It knows no method and no schedule.

use std::rc::Rc;

use tch::{Device, Kind, Tensor, no_grad};
use torch_shim::foreach;

use crate::batch::Batch;
use crate::machine::Machine;
use crate::model::parameters::Parameters;
use crate::model::precision::Precision;
use crate::optim::{Optimizer, OptimizerConfig, Rates};
use crate::pass::{Forward, Inputs, Pass, Recorder};
use crate::phases::{BACKWARD, OPTIMISER, timed};
use crate::probe::{CLASSIFIER, Probe, ProbeLoss};
use crate::scalars::{GRAD_NORM, StepStats};
use crate::scaler::{self, Scaler};
use crate::world::World;

/// The optimiser of a network and of the joint linear probe on its features.
#[derive(Debug)]
pub struct Learner {
    optimizer: Optimizer,
    clip_grad: f64,
    probe: Option<Probe>,
    /// In half precision.
    scaler: Option<Scaler>,
    recorder: Recorder,
    world: Rc<dyn World>,
    /// Norms of the network's gradients at the last step, `[parameters]`.
    gradient_norms: Option<Tensor>,
    is_guarded: bool,
}

/// What one step learns from.
#[derive(Debug)]
pub struct Lesson<'a, F> {
    /// The images.
    pub batch: &'a Batch,
    /// Makes of them what is minimised: `FnMut(&Inputs) -> Forward`.
    pub forward: F,
    /// Numbers that `forward` computes with and that are not the same at every step: [`Inputs::number`].
    pub numbers: &'a [f64],
    /// Which of two ways `forward` takes, if it has two.
    pub way: bool,
    /// Learning rate and weight decay.
    pub rates: Rates,
    /// A parameter with this in its name is left alone, as if it had no gradient.
    pub frozen: Option<&'static str>,
}

/// What a step gives back.
#[derive(Debug)]
pub struct Learnt {
    /// What was measured.
    pub stats: StepStats,
    /// What the method asked to keep; it holds until the next step.
    pub kept: Vec<Tensor>,
}

impl Learner {
    /// Learns the trainable tensors of a network and its probe. `clip_grad` is the largest norm of one parameter's gradient; 0 is no limit.
    pub fn new(
        config: OptimizerConfig,
        clip_grad: f64,
        network: &Parameters,
        probe: Option<Probe>,
        machine: &Machine,
    ) -> Learner {
        let of_probe = probe.iter().flat_map(|probe| probe.parameters.trainable());
        Learner {
            optimizer: Optimizer::new(config, network.trainable().chain(of_probe)),
            clip_grad,
            probe,
            scaler: (machine.precision == Precision::Fp16).then(Scaler::default),
            recorder: Recorder::new(machine.records.then_some(machine.device)),
            world: Rc::clone(&machine.world),
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

    /// One update from a method's loss and the probe's.
    pub fn learn<F>(&mut self, lesson: Lesson<F>) -> Learnt
    where
        F: FnMut(&Inputs) -> Forward,
    {
        let pass = self.pass(lesson.batch, lesson.numbers, lesson.way, lesson.forward);
        let mut stats = StepStats::new(pass.stats, self.world());
        self.descend(
            &pass.loss,
            pass.gradients,
            lesson.rates,
            lesson.frozen,
            &mut stats,
        );
        let kept = pass.kept;
        Learnt { stats, kept }
    }

    /// From images to gradients; no parameter changes.
    fn pass(
        &mut self,
        batch: &Batch,
        numbers: &[f64],
        way: bool,
        mut forward: impl FnMut(&Inputs) -> Forward,
    ) -> Pass {
        let scale = self.scaler.map(|scaler| scaler.scale());
        let all: Vec<f64> = numbers.iter().copied().chain(scale).collect();
        let inputs = Inputs::of(batch, &all, self.device());
        let (params, probe) = (self.optimizer.params(), self.probe.as_ref());
        let world = self.world.as_ref();
        self.recorder.run(inputs, way, |inputs| {
            let Forward {
                loss,
                mut stats,
                features_bd,
                kept,
            } = forward(inputs);
            let probed = probe.zip(features_bd);
            let probed = probed.map(|(probe, features_bd)| probe.loss(&features_bd, inputs));
            stats.extend(probed.iter().flat_map(ProbeLoss::named));
            let loss = probed.map_or(loss.shallow_clone(), |probed| &loss + probed.loss);
            let scale = scale.map(|_| inputs.number(numbers.len() as i64).to_kind(loss.kind()));
            let gradients = timed(BACKWARD, || gradients(&loss, &params, scale, world));
            let loss = loss.detach();
            Pass {
                loss,
                stats,
                gradients,
                kept,
            }
        })
    }

    /// One update from gradients. Tells the norm of the network's gradient, before it was clipped and without the probe's. A parameter with
    /// `frozen` in its name is left alone, as if it had no gradient.
    ///
    /// In half precision a step whose gradient is not finite changes no parameter, and whether it is has to be waited for.
    fn descend(
        &mut self,
        loss: &Tensor,
        mut gradients: Vec<Tensor>,
        rates: Rates,
        frozen: Option<&str>,
        stats: &mut StepStats,
    ) {
        let norm = no_grad(|| self.norm(&gradients));
        let may_update = self.may_update(loss, &norm, &gradients);
        let is_frozen = |name: &str| frozen.is_some_and(|part| name.contains(part));
        if may_update {
            timed(OPTIMISER, || {
                if self.clip_grad > 0.0 {
                    self.optimizer
                        .clip(&mut gradients, self.clip_grad, is_of_network);
                }
                self.optimizer.step(&gradients, rates, is_frozen);
            });
        }
        if may_update || !self.scaler.is_some_and(Scaler::is_to_blame) {
            stats.add(GRAD_NORM, &norm);
        }
        if let Some(scaler) = &mut self.scaler {
            stats.add("loss_scale", &Tensor::from(scaler.scale()));
            stats.add("step_skipped", &Tensor::from(f64::from(!may_update)));
            scaler.update(may_update);
        }
    }

    /// Whether there is an update to make, on all ranks alike. Waits for the device where it depends on the numbers.
    fn may_update(&self, loss: &Tensor, norm: &Tensor, gradients: &[Tensor]) -> bool {
        if self.scaler.is_none() && !self.is_guarded {
            return true;
        }
        let loss = self.world.mean(loss.shallow_clone());
        match self.scaler {
            Some(_) => no_grad(|| is_finite(&loss, &self.norms(gradients, |_| true).norm())),
            None => is_finite(&loss, norm),
        }
    }

    /// The joint linear probe, if there is one.
    pub fn probe(&self) -> Option<&Probe> {
        self.probe.as_ref()
    }

    fn norm(&mut self, gradients: &[Tensor]) -> Tensor {
        let norms = self.norms(gradients, is_of_network);
        let norms = self.gradient_norms.insert(norms);
        norms.to_kind(Kind::Double).norm()
    }

    /// The norm of each counted gradient, `[n]`.
    fn norms(&self, gradients: &[Tensor], is_counted: impl Fn(&str) -> bool) -> Tensor {
        let named = self.optimizer.names().zip(gradients);
        let counted = named.filter(|(name, _)| is_counted(name));
        let counted: Vec<&Tensor> = counted.map(|(_, gradient)| gradient).collect();
        foreach::norms(&counted)
    }

    /// Norms of the network's gradients at the last step, by name; waits for the device.
    pub fn gradient_norms(&self) -> Vec<(String, f64)> {
        let names = self.optimizer.names().filter(|name| is_of_network(name));
        let norms = self.gradient_norms.iter().flat_map(|norms| {
            Vec::<f64>::try_from(norms.to_kind(Kind::Double)).expect("norms are numbers")
        });
        names.map(str::to_owned).zip(norms).collect()
    }

    /// All ranks that learn together.
    pub fn world(&self) -> Rc<dyn World> {
        Rc::clone(&self.world)
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

    /// What the optimiser remembers.
    pub fn remembered(&self) -> impl Iterator<Item = &Tensor> {
        self.optimizer.memory()
    }

    /// The state of optimiser and scaler by name, for a checkpoint.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let scaler = self.scaler.iter().flat_map(Scaler::state);
        self.optimizer.state().into_iter().chain(scaler).collect()
    }

    /// Takes the state back; `find` gives the tensor of a name.
    ///
    /// # Errors
    /// The first name that is missing or has another shape.
    pub fn restore(
        &mut self,
        find: impl Fn(&str, &[i64]) -> Result<Tensor, String>,
    ) -> Result<(), String> {
        if let Some(scaler) = &mut self.scaler {
            scaler.restore(&find);
        }
        self.optimizer.restore(find)
    }

    /// Converts the state to the precision that the parameters were converted to.
    pub fn convert(&mut self, kind: Kind) {
        self.optimizer.convert(kind);
        self.recorder.forget();
    }
}

/// The mean over ranks of the gradient of each parameter.
fn gradients(
    loss: &Tensor,
    params: &[&Tensor],
    scale: Option<Tensor>,
    world: &dyn World,
) -> Vec<Tensor> {
    let Some(scale) = scale else {
        return world.gradients(loss, params);
    };
    let mut gradients = world.gradients(&(loss * &scale), params);
    scaler::unscale(&mut gradients, &scale);
    gradients
}

/// Waits for the device.
fn is_finite(loss: &Tensor, norm: &Tensor) -> bool {
    let sum = loss.to_kind(Kind::Double) + norm;
    sum.double_value(&[]).is_finite()
}

/// The probe is not part of the network: the reference does not clip it.
fn is_of_network(name: &str) -> bool {
    !name.starts_with(CLASSIFIER)
}
