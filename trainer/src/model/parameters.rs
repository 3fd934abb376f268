//! Named tensors of a network: what is learnt, what is fixed, what is a running statistic.
//!
//! Order is the order of registration, which the layers keep equal to PyTorch's `named_parameters`. Knows no layer and no
//! optimiser.

use std::rc::Rc;

use tch::{Device, Kind, Tensor, no_grad};

use crate::machine::Machine;
use crate::world::World;

/// What a tensor is to the optimiser and to the teacher's moving average.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Learnt by gradient; averaged into the teacher.
    Trainable,
    /// A parameter without gradient (the head's `weight_g` while it is normalised); averaged into the teacher.
    Fixed,
    /// A running statistic of batch normalisation; never averaged.
    Buffer,
}

/// One named tensor.
#[derive(Debug)]
pub struct Entry {
    /// Dotted path, as PyTorch writes it.
    pub name: String,
    /// The tensor itself; layers hold shallow clones of it.
    pub tensor: Tensor,
    /// Its role.
    pub role: Role,
}

/// All tensors of a network in registration order.
#[derive(Debug, Default)]
pub struct Parameters {
    entries: Vec<Entry>,
}

/// A place in the name tree at which layers register their tensors.
#[derive(Debug)]
pub struct Scope<'a> {
    parameters: &'a mut Parameters,
    prefix: String,
    machine: &'a Machine,
}

impl Parameters {
    /// No tensors yet.
    pub fn new() -> Parameters {
        Parameters::default()
    }

    /// The root of the name tree.
    pub fn scope<'a>(&'a mut self, machine: &'a Machine) -> Scope<'a> {
        Scope {
            parameters: self,
            prefix: String::new(),
            machine,
        }
    }

    /// Every tensor, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Handles to every tensor, by name.
    pub fn handles(&self) -> Vec<(String, Tensor)> {
        let entries = self.entries.iter();
        let handle = |entry: &Entry| (entry.name.clone(), entry.tensor.shallow_clone());
        entries.map(handle).collect()
    }

    /// The same, called `<part>.<name>`.
    pub fn named(&self, part: &str) -> Vec<(String, Tensor)> {
        let handles = self.handles().into_iter();
        let named = |(name, tensor)| (format!("{part}.{name}"), tensor);
        handles.map(named).collect()
    }

    /// Tensors learnt by gradient, in order.
    pub fn trainable(&self) -> impl Iterator<Item = &Entry> {
        self.entries
            .iter()
            .filter(|entry| entry.role == Role::Trainable)
    }

    /// Number of learnt values.
    pub fn num_trainable(&self) -> usize {
        self.trainable().map(|entry| entry.tensor.numel()).sum()
    }

    /// The tensor called `name`.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        let found = self.entries.iter().find(|entry| entry.name == name)?;
        Some(&found.tensor)
    }

    /// Converts every tensor in place, layers' handles included.
    pub fn convert(&mut self, kind: Kind) {
        for entry in &mut self.entries {
            let converted = entry.tensor.detach().to_kind(kind);
            entry.tensor.set_data(&converted);
        }
    }

    /// Stops all gradients: nothing here is learnt any more.
    pub fn freeze(&mut self) {
        self.freeze_below("");
    }

    /// The same of those whose names begin with `prefix`.
    pub fn freeze_below(&mut self, prefix: &str) {
        for entry in &mut self.entries {
            if entry.role == Role::Trainable && entry.name.starts_with(prefix) {
                entry.role = Role::Fixed;
                entry.tensor = entry.tensor.set_requires_grad(false);
            }
        }
    }

    /// Copies every value from a network of the same shape.
    pub fn copy_from(&mut self, other: &Parameters) {
        no_grad(|| {
            for (mine, theirs) in self.entries.iter_mut().zip(&other.entries) {
                mine.tensor.copy_(&theirs.tensor);
            }
        });
    }
}

impl Scope<'_> {
    /// The place `name` below this one.
    pub fn child(&mut self, name: impl std::fmt::Display) -> Scope<'_> {
        let prefix = self.path(&name.to_string());
        Scope {
            parameters: self.parameters,
            prefix,
            machine: self.machine,
        }
    }

    /// Where new tensors live.
    pub fn device(&self) -> Device {
        self.machine.device
    }

    /// All ranks that hold the network.
    pub fn world(&self) -> Rc<dyn World> {
        Rc::clone(&self.machine.world)
    }

    /// Registers a learnt tensor and returns the layer's handle to it.
    pub fn trainable(&mut self, name: &str, value: Tensor) -> Tensor {
        let value = value.set_requires_grad(true);
        self.register(name, value, Role::Trainable)
    }

    /// Registers a parameter without gradient.
    pub fn fixed(&mut self, name: &str, value: Tensor) -> Tensor {
        self.register(name, value, Role::Fixed)
    }

    /// Registers a running statistic.
    pub fn buffer(&mut self, name: &str, value: Tensor) -> Tensor {
        self.register(name, value, Role::Buffer)
    }

    fn register(&mut self, name: &str, tensor: Tensor, role: Role) -> Tensor {
        let handle = tensor.shallow_clone();
        let name = self.path(name);
        self.parameters.entries.push(Entry { name, tensor, role });
        handle
    }

    fn path(&self, name: &str) -> String {
        if self.prefix.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.prefix)
        }
    }
}
