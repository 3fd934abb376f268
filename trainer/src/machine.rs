//! What a network computes on and with: the device, the number format, the other ranks.

use std::rc::Rc;

use tch::Device;

use crate::model::precision::Precision;
use crate::world::{Alone, World};

/// Handed to everything that makes tensors or layers.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Where tensors lie.
    pub device: Device,
    /// What a network computes in while it learns.
    pub precision: Precision,
    /// Whether a step's forward and backward passes are recorded once and replayed ([`crate::pass`]).
    pub records: bool,
    /// All ranks.
    pub world: Rc<dyn World>,
}

impl Machine {
    /// One process on a device.
    pub fn alone(device: Device, precision: Precision) -> Machine {
        Machine {
            device,
            precision,
            records: false,
            world: Rc::new(Alone),
        }
    }

    /// One process on the CPU, in single precision.
    pub fn cpu() -> Machine {
        Machine::alone(Device::Cpu, Precision::Full)
    }
}
