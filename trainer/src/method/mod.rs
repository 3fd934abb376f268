//! Self-supervised methods: each a short file that reads like its paper, behind one trait.

mod config;
pub mod dino;
pub mod moco;
mod step;
pub mod swav;

pub use config::MethodConfig;
pub use step::{Find, Method, StepRates};
