//! Which method a run trains, and how.

use serde::{Deserialize, Serialize};

use super::classifier::{Classifier, ClassifierConfig};
use super::dino::{Dino, DinoConfig};
use super::moco::{Moco, MocoConfig};
use super::step::Method;
use super::swav::{Swav, SwavConfig};
use crate::machine::Machine;

/// `SSL_METHOD` or `EVAL_METHOD`, and everything that decides what the method is and how it learns, but for the schedules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum MethodConfig {
    /// DINO (Caron et al. 2021).
    Dino(DinoConfig),
    /// SwAV (Caron et al. 2020).
    Swav(SwavConfig),
    /// MoCo-v2 (Chen et al. 2020) with several queries an image.
    Moco(MocoConfig),
    /// A classifier on what one of them left.
    Classifier(ClassifierConfig),
}

impl MethodConfig {
    /// Whether it learns from labels alone.
    pub fn is_classifier(&self) -> bool {
        matches!(self, MethodConfig::Classifier(_))
    }

    /// Whether an average follows the network: DINO's teacher, MoCo's key encoder.
    pub fn has_average(&self) -> bool {
        matches!(self, MethodConfig::Dino(_) | MethodConfig::Moco(_))
    }

    /// The method with fresh weights; `classes` are those of the joint linear probe, or of a classifier, which cannot do without. The
    /// global random state decides the weights.
    pub fn build(&self, classes: Option<i64>, machine: &Machine) -> Box<dyn Method> {
        match self.clone() {
            MethodConfig::Dino(config) => Box::new(Dino::new(config, classes, machine)),
            MethodConfig::Swav(config) => Box::new(Swav::new(config, classes, machine)),
            MethodConfig::Moco(config) => Box::new(Moco::new(config, classes, machine)),
            MethodConfig::Classifier(config) => {
                let classes =
                    classes.expect("a classifier is built for the classes of its data set");
                Box::new(Classifier::new(config, classes, machine))
            }
        }
    }
}
