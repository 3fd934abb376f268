//! Which method a run trains, and how.

use std::rc::Rc;

use serde::{Deserialize, Serialize};
use tch::Device;

use super::dino::{Dino, DinoConfig};
use super::moco::{Moco, MocoConfig};
use super::step::Method;
use super::swav::{Swav, SwavConfig};
use crate::world::World;

/// `SSL_METHOD` and everything that decides what the method is and how it learns, but for the schedules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum MethodConfig {
    /// DINO (Caron et al. 2021).
    Dino(DinoConfig),
    /// SwAV (Caron et al. 2020).
    Swav(SwavConfig),
    /// MoCo-v2 (Chen et al. 2020) with several queries an image.
    Moco(MocoConfig),
}

impl MethodConfig {
    /// The method with fresh weights; `probe_classes` are those of the joint linear probe. The global random state decides the weights.
    pub fn build(
        &self,
        probe_classes: Option<i64>,
        device: Device,
        world: Rc<dyn World>,
    ) -> Box<dyn Method> {
        match self.clone() {
            MethodConfig::Dino(config) => Box::new(Dino::new(config, probe_classes, device, world)),
            MethodConfig::Swav(config) => Box::new(Swav::new(config, probe_classes, device, world)),
            MethodConfig::Moco(config) => Box::new(Moco::new(config, probe_classes, device, world)),
        }
    }
}
