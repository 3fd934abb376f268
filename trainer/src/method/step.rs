//! What a self-supervised method is to the rest of the trainer: the loop, the metrics, checkpoints and evaluation know no method by name.

use std::fmt::Debug;

use tch::{Device, Kind, Tensor, no_grad};

use crate::batch::Batch;
use crate::learner::Learner;
use crate::loss::parts::LossParts;
use crate::model::backbone::Backbone;
use crate::optim::Rates;
use crate::probe::{Probe, ProbeLoss};

/// A method with all of its state. Runs on the training thread.
pub trait Method: Debug {
    /// Learns from one batch. Reads nothing back from the device.
    fn step(&mut self, batch: &Batch, rates: StepRates) -> StepStats;

    /// The backbone that is evaluated: the student's, SwAV's network, MoCo's query encoder.
    fn backbone(&self) -> &Backbone;

    /// The joint linear probe, if there is one.
    fn probe(&self) -> Option<&Probe>;

    /// What updates the parameters.
    fn learner(&self) -> &Learner;

    /// The same, to be changed.
    fn learner_mut(&mut self) -> &mut Learner;

    /// Handles to every tensor of the state but the optimiser's, by name. Networks that are learnt are called `student`, averages of them
    /// `teacher`, whatever the method.
    fn tensors(&self) -> Vec<(String, Tensor)>;

    /// Every tensor of the state by name, for a checkpoint.
    fn state(&self) -> Vec<(String, Tensor)> {
        let tensors = self.tensors().into_iter();
        let mut state: Vec<_> = tensors
            .map(|(name, tensor)| (name, tensor.detach()))
            .collect();
        let optimizer = self.learner().state().into_iter();
        state.extend(optimizer.map(|(name, tensor)| (format!("optimizer.{name}"), tensor)));
        state
    }

    /// Takes the state back; `find` gives the tensor of a name and shape.
    ///
    /// # Errors
    /// The first name that is missing or has another shape.
    fn restore(&mut self, find: &Find) -> Result<(), String> {
        for (name, mut target) in self.tensors() {
            let value = find(&name, &target.size())?;
            no_grad(|| target.copy_(&value));
        }
        self.learner_mut()
            .restore(|name, shape| find(&format!("optimizer.{name}"), shape))
    }

    /// Converts every floating-point tensor to another precision. Runs are in single precision; double tells rounding from mistakes when a
    /// step is compared with another implementation.
    fn convert(&mut self, kind: Kind) {
        for (_, mut tensor) in self.tensors() {
            if tensor.is_floating_point() {
                let converted = tensor.detach().to_kind(kind);
                tensor.set_data(&converted);
            }
        }
        self.learner_mut().convert(kind);
    }
}

/// Gives the tensor of a name and shape, or says what is wrong.
pub type Find<'a> = dyn Fn(&str, &[i64]) -> Result<Tensor, String> + 'a;

/// The scheduled values of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepRates {
    /// Epoch, counted from 0.
    pub epoch: u64,
    /// Learning rate and weight decay.
    pub optimizer: Rates,
    /// Share of the teacher that stays.
    pub momentum: f64,
    /// Temperature of the teacher's softmax.
    pub teacher_temp: f64,
    /// Seed of what the step draws (drop path), so that a resumed run draws the same.
    pub seed: i64,
}

/// What one step measured, by name; the numbers still lie on the device. `loss` is always there: the self-supervised loss alone.
#[derive(Debug)]
pub struct StepStats {
    scalars: Vec<(&'static str, Tensor)>,
}

impl StepStats {
    /// What every method measures: its loss and both halves, what the probe made of the batch, the norm of the gradient.
    pub fn new(losses: LossParts, probe: Option<ProbeLoss>, grad_norm: Tensor) -> StepStats {
        let mut stats = StepStats {
            scalars: Vec::new(),
        };
        stats.add(LOSS, &losses.total);
        stats.add("loss_global", &losses.global);
        if let Some(local) = &losses.local {
            stats.add("loss_local", local);
        }
        if let Some(ProbeLoss { loss, accuracy }) = &probe {
            stats.add("probe_loss", loss);
            stats.add("probe_accuracy", accuracy);
        }
        stats.add("grad_norm", &grad_norm);
        stats
    }

    /// One number more, a tensor without dimensions.
    pub fn add(&mut self, name: &'static str, value: &Tensor) {
        self.scalars.push((name, value.detach()));
    }

    /// Waits for the device and reads the numbers: the one synchronisation of a step.
    pub fn read(&self) -> Scalars {
        let values = self
            .scalars
            .iter()
            .map(|(_, value)| value.to_kind(Kind::Double));
        let values = Tensor::stack(&values.collect::<Vec<_>>(), 0).to_device(Device::Cpu);
        let names = self.scalars.iter().map(|(name, _)| *name);
        let read = |(at, name)| (name, values.double_value(&[at as i64]));
        Scalars(names.enumerate().map(read).collect())
    }
}

const LOSS: &str = "loss";

/// The named numbers of one step, on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct Scalars(Vec<(&'static str, f64)>);

impl Scalars {
    /// The self-supervised loss.
    pub fn loss(&self) -> f64 {
        self.get(LOSS).expect("every step measures its loss")
    }

    /// The number of this name.
    pub fn get(&self, name: &str) -> Option<f64> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value)
    }

    /// All but the loss.
    pub fn others(&self) -> impl Iterator<Item = (&'static str, f64)> + '_ {
        self.0.iter().filter(|(name, _)| *name != LOSS).copied()
    }
}
