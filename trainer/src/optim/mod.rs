//! Optimisers over named tensors: LARS, SGD, AdamW, with the reference's three parameter groups.
//!
//! A step takes gradients, rates and which parameters to leave alone; it knows no network, loss or schedule. Scalars that
//! vary by step travel as zero-dimensional tensors, so that each update is one fused operation.

pub mod adamw;
pub mod groups;
pub mod lars;
mod scalar;
pub mod sgd;

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor, no_grad};

use crate::model::parameters::Entry;
use groups::{Group, GroupRules};
use scalar::scalar;

/// `SOLVER.OPTIMIZING_METHOD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OptimizerKind {
    /// Layer-wise adaptive rates (You et al. 2017).
    Lars,
    /// Stochastic gradient descent with momentum.
    Sgd,
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019), betas .9 and .999.
    AdamW,
}

/// Which optimiser, its momentum and the rules of its groups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OptimizerConfig {
    /// The update rule.
    pub kind: OptimizerKind,
    /// Momentum of LARS and SGD.
    pub momentum: f64,
    /// Whether SGD looks ahead (Nesterov's momentum, as in PyTorch).
    pub nesterov: bool,
    /// Weight decay and adaptation by group.
    pub groups: GroupRules,
}

/// Learning rate and weight decay of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Learning rate.
    pub lr: f64,
    /// Weight decay before the group's factor.
    pub weight_decay: f64,
}

/// One parameter and what the optimiser remembers of it.
#[derive(Debug)]
struct Slot {
    name: String,
    param: Tensor,
    group: Group,
    /// What the learning rate is multiplied with.
    lr_factor: f64,
    state: State,
}

/// What an update rule remembers.
#[derive(Debug)]
enum State {
    /// LARS and SGD: the running sum of updates.
    Momentum(Tensor),
    /// AdamW: first and second moment, number of updates.
    Moments {
        first: Tensor,
        second: Tensor,
        num_steps: i64,
    },
}

/// An optimiser with its state.
#[derive(Debug)]
pub struct Optimizer {
    config: OptimizerConfig,
    slots: Vec<Slot>,
}

impl Optimizer {
    /// An optimiser of these trainable tensors, in their order.
    pub fn new<'a>(
        config: OptimizerConfig,
        entries: impl IntoIterator<Item = &'a Entry>,
    ) -> Optimizer {
        let slots = entries
            .into_iter()
            .map(|entry| Slot {
                name: entry.name.clone(),
                param: entry.tensor.shallow_clone(),
                group: Group::of(&entry.tensor),
                lr_factor: 1.0,
                state: State::new(config.kind, &entry.tensor),
            })
            .collect();
        Optimizer { config, slots }
    }

    /// Multiplies the learning rate of the parameters that `is_scaled` names.
    pub fn scale_lr(&mut self, factor: f64, is_scaled: impl Fn(&str) -> bool) {
        let slots = self.slots.iter_mut();
        for slot in slots.filter(|slot| is_scaled(&slot.name)) {
            slot.lr_factor = factor;
        }
    }

    /// The parameters, in order: what gradients are asked for.
    pub fn params(&self) -> Vec<&Tensor> {
        self.slots.iter().map(|slot| &slot.param).collect()
    }

    /// Names of the parameters, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.slots.iter().map(|slot| slot.name.as_str())
    }

    /// One update. `gradients` follow the order of [`Optimizer::params`]; a parameter whose name `is_frozen` names keeps its
    /// value and its state, as if it had no gradient.
    pub fn step(&mut self, gradients: &[Tensor], rates: Rates, is_frozen: impl Fn(&str) -> bool) {
        no_grad(|| {
            for (slot, gradient) in self.slots.iter_mut().zip(gradients) {
                if !is_frozen(&slot.name) {
                    slot.update(gradient, rates, &self.config);
                }
            }
        });
    }

    /// Scales each gradient whose parameter `is_clipped` names down to norm `limit` (`SOLVER.CLIP_GRAD`, per parameter).
    pub fn clip(&self, gradients: &mut [Tensor], limit: f64, is_clipped: impl Fn(&str) -> bool) {
        no_grad(|| {
            for (slot, gradient) in self.slots.iter().zip(gradients) {
                if is_clipped(&slot.name) {
                    let factor = (limit / (gradient.norm() + 1e-6)).clamp_max(1.0);
                    *gradient = &*gradient * factor;
                }
            }
        });
    }

    /// Converts the state to the precision that the parameters were converted to.
    pub fn convert(&mut self, kind: Kind) {
        for slot in &mut self.slots {
            slot.state.convert(kind);
        }
    }

    /// The state by name (`<parameter>.momentum`, ...), for a checkpoint.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        self.slots.iter().flat_map(Slot::export).collect()
    }

    /// Takes the state back; `find` gives the tensor of a name.
    ///
    /// Errors with the first name that is missing or has another shape.
    pub fn restore(
        &mut self,
        find: impl Fn(&str, &[i64]) -> Result<Tensor, String>,
    ) -> Result<(), String> {
        for slot in &mut self.slots {
            no_grad(|| slot.import(&find))?;
        }
        Ok(())
    }
}

impl State {
    fn new(kind: OptimizerKind, param: &Tensor) -> State {
        let zeros = || no_grad(|| param.zeros_like());
        match kind {
            OptimizerKind::Lars | OptimizerKind::Sgd => State::Momentum(zeros()),
            OptimizerKind::AdamW => State::Moments {
                first: zeros(),
                second: zeros(),
                num_steps: 0,
            },
        }
    }

    fn convert(&mut self, kind: Kind) {
        match self {
            State::Momentum(mu) => *mu = mu.to_kind(kind),
            State::Moments { first, second, .. } => {
                *first = first.to_kind(kind);
                *second = second.to_kind(kind);
            }
        }
    }
}

impl Slot {
    fn update(&mut self, gradient: &Tensor, rates: Rates, config: &OptimizerConfig) {
        let weight_decay = rates.weight_decay * config.groups.weight_decay_factor(self.group);
        let lr = rates.lr * self.lr_factor;
        match (&mut self.state, config.kind) {
            (State::Momentum(mu), OptimizerKind::Lars) => {
                let adapt = config.groups.is_adapted(self.group);
                let update = lars::update(&self.param, gradient, weight_decay, adapt);
                momentum_step(&mut self.param, mu, &update, config.momentum, lr);
            }
            (State::Momentum(mu), _) => {
                let update = sgd::update(&self.param, gradient, weight_decay);
                let step = if config.nesterov {
                    nesterov_step
                } else {
                    momentum_step
                };
                step(&mut self.param, mu, &update, config.momentum, lr);
            }
            (
                State::Moments {
                    first,
                    second,
                    num_steps,
                },
                _,
            ) => {
                *num_steps += 1;
                let step = adamw::Step::new(*num_steps, lr, weight_decay);
                step.apply(&mut self.param, gradient, first, second);
            }
        }
    }

    fn export(&self) -> Vec<(String, Tensor)> {
        let named = |what: &str, tensor: &Tensor| (format!("{}.{what}", self.name), tensor.copy());
        match &self.state {
            State::Momentum(mu) => vec![named("momentum", mu)],
            State::Moments {
                first,
                second,
                num_steps,
            } => vec![
                named("first_moment", first),
                named("second_moment", second),
                named("num_steps", &Tensor::from(*num_steps)),
            ],
        }
    }

    fn import(
        &mut self,
        find: &impl Fn(&str, &[i64]) -> Result<Tensor, String>,
    ) -> Result<(), String> {
        let shape = self.param.size();
        let get = |what: &str, shape: &[i64]| find(&format!("{}.{what}", self.name), shape);
        match &mut self.state {
            State::Momentum(mu) => mu.copy_(&get("momentum", &shape)?),
            State::Moments {
                first,
                second,
                num_steps,
            } => {
                first.copy_(&get("first_moment", &shape)?);
                second.copy_(&get("second_moment", &shape)?);
                *num_steps = get("num_steps", &[])?.int64_value(&[]);
            }
        }
        Ok(())
    }
}

/// `mu = momentum * mu + update; p -= lr * mu`.
fn momentum_step(param: &mut Tensor, mu: &mut Tensor, update: &Tensor, momentum: f64, lr: f64) {
    let _ = mu.g_mul_scalar_(momentum);
    let _ = mu.g_add_(update);
    let _ = param.addcmul_(mu, &scalar(-lr, mu));
}

/// `mu = momentum * mu + update; p -= lr * (update + momentum * mu)`.
fn nesterov_step(param: &mut Tensor, mu: &mut Tensor, update: &Tensor, momentum: f64, lr: f64) {
    let _ = mu.g_mul_scalar_(momentum);
    let _ = mu.g_add_(update);
    let ahead = update.addcmul(mu, &scalar(momentum, mu));
    let _ = param.addcmul_(&ahead, &scalar(-lr, mu));
}
