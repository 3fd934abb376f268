//! Optimisers over named tensors: LARS, SGD, AdamW, with the reference's three parameter groups.
//!
//! A step takes gradients, rates and which parameters to leave alone; it knows no network, loss or schedule. Parameters that follow the
//! same rule are updated together, by libtorch's fused operations.

pub mod groups;
pub mod lars;

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor, no_grad};
use torch_shim::foreach::{self, AdamW, Sgd};

use crate::model::parameters::Entry;
use groups::{Group, GroupRules};

/// PyTorch's defaults, which the reference keeps.
const ADAMW_BETAS: (f64, f64) = (0.9, 0.999);
const ADAMW_EPS: f64 = 1e-8;

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
    /// As [`OptimizerKind::remembered`] names them, in the shape of the parameter.
    memory: Vec<Tensor>,
    /// Updates so far; AdamW alone counts them.
    num_steps: i64,
}

/// What parameters that are updated together have in common.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Rule {
    lr: f64,
    weight_decay: f64,
    is_adapted: bool,
    num_steps: i64,
}

/// Parameters of one rule, and their gradients.
#[derive(Debug)]
struct Together<'a> {
    rule: Rule,
    slots: Vec<&'a Slot>,
    gradients: Vec<&'a Tensor>,
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
        let entries = entries.into_iter();
        let slots = entries.map(|entry| Slot::new(config.kind, entry)).collect();
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

    /// What it remembers of all parameters.
    pub fn memory(&self) -> impl Iterator<Item = &Tensor> {
        self.slots.iter().flat_map(|slot| &slot.memory)
    }

    /// Names of the parameters, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.slots.iter().map(|slot| slot.name.as_str())
    }

    /// One update. `gradients` follow the order of [`Optimizer::params`]; a parameter whose name `is_frozen` names keeps its
    /// value and its state, as if it had no gradient.
    pub fn step(&mut self, gradients: &[Tensor], rates: Rates, is_frozen: impl Fn(&str) -> bool) {
        let slots = self.slots.iter_mut();
        for slot in slots.filter(|slot| !is_frozen(&slot.name)) {
            slot.num_steps += 1;
        }
        let all = self.slots.iter().zip(gradients);
        let learning = all.filter(|(slot, _)| !is_frozen(&slot.name));
        no_grad(|| {
            for together in self.together(learning, rates) {
                together.update(&self.config);
            }
        });
    }

    fn together<'a>(
        &self,
        learning: impl Iterator<Item = (&'a Slot, &'a Tensor)>,
        rates: Rates,
    ) -> Vec<Together<'a>> {
        let mut all: Vec<Together> = Vec::new();
        for (slot, gradient) in learning {
            let rule = slot.rule(rates, &self.config);
            match all.iter_mut().find(|together| together.rule == rule) {
                Some(together) => together.push(slot, gradient),
                None => all.push(Together {
                    rule,
                    slots: vec![slot],
                    gradients: vec![gradient],
                }),
            }
        }
        all
    }

    /// Scales each gradient whose parameter `is_clipped` names down to norm `limit` (`SOLVER.CLIP_GRAD`, per parameter).
    pub fn clip(&self, gradients: &mut [Tensor], limit: f64, is_clipped: impl Fn(&str) -> bool) {
        let named = self.slots.iter().zip(gradients);
        let clipped = named.filter(|(slot, _)| is_clipped(&slot.name));
        let clipped: Vec<&mut Tensor> = clipped.map(|(_, gradient)| gradient).collect();
        no_grad(|| {
            let norms = foreach::norms(&clipped);
            let factors = (limit / (norms + 1e-6)).clamp_max(1.0).unbind(0);
            for (gradient, factor) in clipped.into_iter().zip(factors) {
                *gradient = &*gradient * factor;
            }
        });
    }

    /// Converts the state to the precision that the parameters were converted to.
    pub fn convert(&mut self, kind: Kind) {
        for memory in self.slots.iter_mut().flat_map(|slot| &mut slot.memory) {
            *memory = memory.to_kind(kind);
        }
    }

    /// The state by name (`<parameter>.momentum`, ...), for a checkpoint.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let export = |slot: &Slot| slot.export(self.config.kind);
        self.slots.iter().flat_map(export).collect()
    }

    /// Takes the state back; `find` gives the tensor of a name.
    ///
    /// Errors with the first name that is missing or has another shape.
    pub fn restore(
        &mut self,
        find: impl Fn(&str, &[i64]) -> Result<Tensor, String>,
    ) -> Result<(), String> {
        for slot in &mut self.slots {
            no_grad(|| slot.import(self.config.kind, &find))?;
        }
        Ok(())
    }
}

impl OptimizerKind {
    /// What is kept of each parameter, by the names that checkpoints have for it.
    fn remembered(self) -> &'static [&'static str] {
        match self {
            OptimizerKind::Lars | OptimizerKind::Sgd => &["momentum"],
            OptimizerKind::AdamW => &["first_moment", "second_moment"],
        }
    }

    /// Whether the number of a parameter's updates matters.
    fn counts(self) -> bool {
        self == OptimizerKind::AdamW
    }
}

impl Slot {
    fn new(kind: OptimizerKind, entry: &Entry) -> Slot {
        let zeros = |_: &&str| no_grad(|| entry.tensor.zeros_like());
        Slot {
            name: entry.name.clone(),
            param: entry.tensor.shallow_clone(),
            group: Group::of(&entry.tensor),
            lr_factor: 1.0,
            memory: kind.remembered().iter().map(zeros).collect(),
            num_steps: 0,
        }
    }

    fn rule(&self, rates: Rates, config: &OptimizerConfig) -> Rule {
        Rule {
            lr: rates.lr * self.lr_factor,
            weight_decay: rates.weight_decay * config.groups.weight_decay_factor(self.group),
            is_adapted: config.groups.is_adapted(self.group),
            num_steps: if config.kind.counts() {
                self.num_steps
            } else {
                0
            },
        }
    }

    fn export(&self, kind: OptimizerKind) -> Vec<(String, Tensor)> {
        let named = |what: &str, tensor: Tensor| (format!("{}.{what}", self.name), tensor);
        let remembered = kind.remembered().iter().zip(&self.memory);
        let mut state: Vec<_> = remembered
            .map(|(what, memory)| named(what, memory.copy()))
            .collect();
        if kind.counts() {
            state.push(named("num_steps", Tensor::from(self.num_steps)));
        }
        state
    }

    fn import(
        &mut self,
        kind: OptimizerKind,
        find: &impl Fn(&str, &[i64]) -> Result<Tensor, String>,
    ) -> Result<(), String> {
        let shape = self.param.size();
        let get = |what: &str, shape: &[i64]| find(&format!("{}.{what}", self.name), shape);
        for (what, memory) in kind.remembered().iter().zip(&mut self.memory) {
            memory.copy_(&get(what, &shape)?);
        }
        if kind.counts() {
            self.num_steps = get("num_steps", &[])?.int64_value(&[]);
        }
        Ok(())
    }
}

impl<'a> Together<'a> {
    fn push(&mut self, slot: &'a Slot, gradient: &'a Tensor) {
        self.slots.push(slot);
        self.gradients.push(gradient);
    }

    fn update(&self, config: &OptimizerConfig) {
        let params: Vec<&Tensor> = self.slots.iter().map(|slot| &slot.param).collect();
        match config.kind {
            OptimizerKind::Sgd => {
                let rule = Sgd {
                    lr: self.rule.lr,
                    weight_decay: self.rule.weight_decay,
                    momentum: config.momentum,
                    nesterov: config.nesterov,
                };
                foreach::sgd_(&params, &self.gradients, &self.memory(0), rule);
            }
            OptimizerKind::Lars => {
                let updates = self.lars(&params);
                let updates: Vec<&Tensor> = updates.iter().collect();
                // The weight decay is in the update, and LARS does not look ahead.
                let rule = Sgd {
                    lr: self.rule.lr,
                    weight_decay: 0.0,
                    momentum: config.momentum,
                    nesterov: false,
                };
                foreach::sgd_(&params, &updates, &self.memory(0), rule);
            }
            OptimizerKind::AdamW => foreach::adamw_(
                &params,
                &self.gradients,
                [&self.memory(0), &self.memory(1)],
                AdamW {
                    lr: self.rule.lr,
                    weight_decay: self.rule.weight_decay,
                    betas: ADAMW_BETAS,
                    eps: ADAMW_EPS,
                    num_steps: self.rule.num_steps,
                },
            ),
        }
    }

    /// The gradients with weight decay, by LARS where it adapts.
    fn lars(&self, params: &[&Tensor]) -> Vec<Tensor> {
        let decayed = lars::decayed(params, &self.gradients, self.rule.weight_decay);
        if self.rule.is_adapted {
            lars::adapted(params, &decayed)
        } else {
            decayed
        }
    }

    fn memory(&self, place: usize) -> Vec<&'a Tensor> {
        self.slots.iter().map(|slot| &slot.memory[place]).collect()
    }
}
