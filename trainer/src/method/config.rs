//! Which method a run trains, and how.

use serde::{Deserialize, Serialize};
use tch::Device;

use super::dino::{Dino, DinoConfig};
use super::step::Method;

/// `SSL_METHOD` and everything that decides what the method is and how it learns, but for the schedules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum MethodConfig {
    /// DINO (Caron et al. 2021).
    Dino(DinoConfig),
}

impl MethodConfig {
    /// The method with fresh weights; `probe_classes` are those of the joint linear probe. The global random state decides the weights.
    pub fn build(&self, probe_classes: Option<i64>, device: Device) -> Box<dyn Method> {
        match self {
            MethodConfig::Dino(config) => {
                Box::new(Dino::new(config.clone(), probe_classes, device))
            }
        }
    }
}
