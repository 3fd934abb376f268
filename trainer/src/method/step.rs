//! What a method is to the rest of the trainer: the loop, the metrics, checkpoints and evaluation know no method by name.

use std::fmt::Debug;

use tch::{Kind, Tensor, no_grad};

use crate::batch::Batch;
use crate::collapse::judge::Collapse;
use crate::learner::Learner;
use crate::model::backbone::Backbone;
use crate::model::parameters::Parameters;
use crate::optim::Rates;
use crate::probe::Probe;
use crate::scalars::StepStats;

/// A method with all of its state. Runs on the training thread.
pub trait Method: Debug {
    /// Learns from one batch. Reads nothing back from the device.
    fn step(&mut self, batch: &Batch, rates: StepRates) -> StepStats;

    /// The backbone that is evaluated: the student's, SwAV's network, MoCo's query encoder.
    fn backbone(&self) -> &Backbone;

    /// The network that is learnt: the student, SwAV's network, MoCo's query encoder.
    fn student(&self) -> &Parameters;

    /// What updates the parameters, the joint linear probe's too.
    fn learner(&self) -> &Learner;

    /// The same, to be changed.
    fn learner_mut(&mut self) -> &mut Learner;

    /// Handles to what the method keeps beside the student and the learner, by name: an average of the student is called `teacher`.
    fn kept(&self) -> Vec<(String, Tensor)>;

    /// Class scores `[n, classes]` of images `[n, 3, h, w]`, of a method that is a classifier; else its features are evaluated.
    fn classify(&self, _images_nchw: &Tensor) -> Option<Tensor> {
        None
    }

    /// What is known to help against a collapse.
    fn remedy(&self, collapse: Collapse) -> &'static str;

    /// Makes what follows the student (teacher, key encoder) equal to it, running statistics included; for a student that was given its weights.
    fn match_student(&mut self) {}

    /// The joint linear probe, if there is one.
    fn probe(&self) -> Option<&Probe> {
        self.learner().probe()
    }

    /// Handles to the tensors that a run may be given to start from, by the names under which they are given.
    fn weights(&self) -> Vec<(String, Tensor)> {
        self.learnt_weights()
    }

    /// Handles to the student's tensors, `backbone.*` and `head.*`, and to the probe's, `classifier.*`.
    fn learnt_weights(&self) -> Vec<(String, Tensor)> {
        let networks = [
            Some(self.student()),
            self.probe().map(|probe| &probe.parameters),
        ];
        let networks = networks.into_iter().flatten();
        networks.flat_map(Parameters::handles).collect()
    }

    /// Handles to every tensor of the state but the optimiser's, by name.
    fn tensors(&self) -> Vec<(String, Tensor)> {
        let mut tensors = self.student().named("student");
        tensors.extend(self.kept());
        let probe = self.probe().into_iter();
        tensors.extend(probe.flat_map(|probe| probe.parameters.named("probe")));
        tensors
    }

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
