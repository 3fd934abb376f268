//! The numbers of one step, by name: a new method or measure adds no field anywhere.

use std::rc::Rc;

use tch::{Device, Kind, Tensor};
use torch_shim::transfer::{self, ToHost};

use crate::loss::parts::LossParts;
use crate::world::World;

/// A number without dimensions on the device, and its name.
pub type Named = (&'static str, Tensor);

/// What one step measured, by name; the numbers still lie on the device. `loss` is always there: the method's loss, without a probe's.
#[derive(Debug)]
pub struct StepStats {
    scalars: Vec<Named>,
    world: Rc<dyn World>,
}

/// A loss and, where it has them, both its halves.
pub fn of_losses(losses: &LossParts) -> Vec<Named> {
    let mut named = vec![
        (LOSS, losses.total.detach()),
        ("loss_global", losses.global.detach()),
    ];
    named.extend(
        losses
            .local
            .iter()
            .map(|local| ("loss_local", local.detach())),
    );
    named
}

impl StepStats {
    /// A step's numbers, its loss first.
    pub fn new(scalars: Vec<Named>, world: Rc<dyn World>) -> StepStats {
        StepStats { scalars, world }
    }

    /// One number more, a tensor without dimensions.
    pub fn add(&mut self, name: &'static str, value: &Tensor) {
        self.scalars.push((name, value.detach()));
    }

    /// Sends the numbers to the host, as means over all ranks.
    pub fn send(&self) -> Sent {
        let device = self.scalars[0].1.device();
        let values = self.scalars.iter();
        let values = values.map(|(_, value)| on_device(&value.to_kind(Kind::Double), device));
        let values = Tensor::stack(&values.collect::<Vec<_>>(), 0);
        Sent {
            names: self.scalars.iter().map(|(name, _)| *name).collect(),
            values: ToHost::of(&self.world.mean(values)),
        }
    }

    /// Waits for the device and reads the numbers, as means over all ranks.
    pub fn read(&self) -> Scalars {
        self.send().read()
    }
}

/// A number of the host on the device, without waiting for what that was asked to do.
fn on_device(value: &Tensor, device: Device) -> Tensor {
    match value.device() == device {
        true => value.shallow_clone(),
        false => transfer::to_device(value, device),
    }
}

/// The numbers of one step, on their way to the host.
#[derive(Debug)]
pub struct Sent {
    names: Vec<&'static str>,
    values: ToHost,
}

impl Sent {
    /// Waits for them: the one synchronisation of a step. What the device was asked to do since is not waited for.
    pub fn read(self) -> Scalars {
        let values = self.values.wait();
        let names = self.names.into_iter().enumerate();
        let read = |(at, name)| (name, values.double_value(&[at as i64]));
        names.map(read).collect()
    }
}

/// What a method minimises.
pub const LOSS: &str = "loss";
/// What the joint linear probe minimises.
pub const PROBE_LOSS: &str = "probe_loss";
/// The norm of the network's gradient.
pub const GRAD_NORM: &str = "grad_norm";

/// Named numbers on the host: of one step, or of a validation.
#[derive(Debug, Clone, PartialEq)]
pub struct Scalars(Vec<(&'static str, f64)>);

impl FromIterator<(&'static str, f64)> for Scalars {
    fn from_iter<I: IntoIterator<Item = (&'static str, f64)>>(named: I) -> Scalars {
        Scalars(named.into_iter().collect())
    }
}

impl Scalars {
    /// The method's loss.
    pub fn loss(&self) -> f64 {
        self.get(LOSS).expect("every step measures its loss")
    }

    /// The number of this name.
    pub fn get(&self, name: &str) -> Option<f64> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value)
    }

    /// The first of losses and gradient that is no number.
    pub fn non_finite(&self) -> Option<&'static str> {
        let of_update = [LOSS, PROBE_LOSS, GRAD_NORM];
        let is_none = |name: &&str| self.get(name).is_some_and(|value| !value.is_finite());
        of_update.into_iter().find(is_none)
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, f64)> + '_ {
        self.0.iter().copied()
    }

    /// All but the loss.
    pub fn others(&self) -> impl Iterator<Item = (&'static str, f64)> + '_ {
        self.all().filter(|(name, _)| *name != LOSS)
    }
}
