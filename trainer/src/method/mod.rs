//! What a run trains: self-supervised methods, each a short file that reads like its paper, and the classifiers of the evaluation, behind
//! one trait.

pub mod classifier;
mod config;
pub mod dino;
pub mod moco;
mod step;
pub mod swav;

pub use config::MethodConfig;
pub use step::{Find, Method, StepRates};
