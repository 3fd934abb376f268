//! From a loss to new parameters, in one place and one order: gradients, their mean over ranks, clipping, dropping, optimiser.

use std::rc::Rc;

use tch::{Kind, Tensor, no_grad};

use crate::model::parameters::Entry;
use crate::optim::{Optimizer, OptimizerConfig, Rates};
use crate::probe::CLASSIFIER;
use crate::world::World;

/// An optimiser of a network and its probe.
#[derive(Debug)]
pub struct Learner {
    optimizer: Optimizer,
    clip_grad: f64,
    world: Rc<dyn World>,
}

impl Learner {
    /// Learns these trainable tensors. `clip_grad` is the largest norm of one parameter's gradient; 0 is no limit.
    pub fn new<'a>(
        config: OptimizerConfig,
        clip_grad: f64,
        learnt: impl IntoIterator<Item = &'a Entry>,
        world: Rc<dyn World>,
    ) -> Learner {
        Learner {
            optimizer: Optimizer::new(config, learnt),
            clip_grad,
            world,
        }
    }

    /// One update along the gradient of `loss`. A parameter that `is_frozen` names is left alone, as if it had no gradient.
    ///
    /// Returns the norm of the network's gradient, before it was clipped and without the probe's; it lies on the device.
    pub fn learn(
        &mut self,
        loss: &Tensor,
        rates: Rates,
        is_frozen: impl Fn(&str) -> bool,
    ) -> Tensor {
        let gradients = Tensor::run_backward(&[loss], &self.optimizer.params(), false, false);
        let gradients = gradients.into_iter();
        let mut gradients: Vec<_> = gradients.map(|mine| self.world.mean(mine)).collect();
        let norm = no_grad(|| self.norm(&gradients));
        if self.clip_grad > 0.0 {
            self.optimizer
                .clip(&mut gradients, self.clip_grad, is_of_network);
        }
        self.optimizer.step(&gradients, rates, is_frozen);
        norm
    }

    fn norm(&self, gradients: &[Tensor]) -> Tensor {
        let named = self.optimizer.names().zip(gradients);
        let of_network = named.filter(|(name, _)| is_of_network(name));
        let norms: Vec<Tensor> = of_network.map(|(_, gradient)| gradient.norm()).collect();
        Tensor::stack(&norms, 0).to_kind(Kind::Double).norm()
    }

    /// Number of values that are learnt.
    pub fn num_learnt(&self) -> usize {
        let params = self.optimizer.params().into_iter();
        params.map(Tensor::numel).sum()
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

/// The probe is not part of the network: the reference does not clip it.
fn is_of_network(name: &str) -> bool {
    !name.starts_with(CLASSIFIER)
}
