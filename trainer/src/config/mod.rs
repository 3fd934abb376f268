//! Settings: the reference's YAML files and `KEY.SUBKEY VALUE` pairs, checked in two stages.
//!
//! 1. Raw: `yaml` reads marked values, `literal` says what they are, `keys` which keys there are and what they may hold; the
//!    result is a [`RawConfig`] in which every key has a value of its kind.
//! 2. Resolved: `resolve` checks the rules between keys and makes the typed [`Settings`] that the rest of the trainer sees.
//!
//! Both stages collect every problem before they give up. Nothing here touches tensors, sockets or the data set.

mod access;
mod job;
pub mod keys;
mod literal;
mod methods;
mod node;
mod notes;
mod problem;
mod raw;
mod resolve;
mod rules;
mod settings;
mod value;
mod views;
mod yaml;

pub use job::Job;
pub use problem::{ConfigError, Origin, Problem};
pub use raw::RawConfig;
pub use resolve::{Resolved, resolve};
pub use settings::{
    DeviceChoice, LoaderSettings, ReplaySettings, ScheduleShape, Schedules, Settings,
    SolverSchedule,
};
pub use value::Value;
