//! A model as a checkpoint holds it, without the run that saved it.

use std::path::{Path, PathBuf};

use tch::Device;

use crate::checkpoint::{self, CheckpointError};
use crate::config::{RawConfig, Resolved, Settings, resolve};
use crate::failure::Failure;
use crate::machine::Machine;
use crate::method::Method;
use crate::model::precision::Precision;

/// A model with the settings that it was trained by.
#[derive(Debug)]
pub struct Restored {
    /// The settings.
    pub settings: Settings,
    /// The method with its state.
    pub model: Box<dyn Method>,
    /// The checkpoint.
    pub path: PathBuf,
}

/// The model of the latest checkpoint below `checkpoints`.
///
/// # Errors
/// When there is none, it is damaged, or this version cannot run its settings.
pub fn latest(checkpoints: &Path, device: Device) -> Result<Restored, Failure> {
    let (path, state) = checkpoint::latest(checkpoints)?;
    let pairs = state
        .settings
        .into_iter()
        .flat_map(|(key, value)| [key, value]);
    let pairs: Vec<String> = pairs.collect();
    let raw = RawConfig::parse("", "", &pairs)?;
    let settings = match resolve(&raw)? {
        Resolved::Runnable(settings) => *settings,
        Resolved::Unavailable(what) => {
            let (what, path) = (what.join(", "), path.display());
            return Err(Failure::Usage(format!(
                "the checkpoint is of a run that this version cannot make: {what}; {path}; use the version that made it"
            )));
        }
    };
    let machine = Machine::alone(device, Precision::Full);
    let mut model = settings.method.build(state.probe_classes, &machine);
    let tensors = checkpoint::load(&path)?;
    let restored = model.restore(&checkpoint::finder(&tensors));
    let damaged = |what| CheckpointError::Damaged {
        path: path.clone(),
        what,
    };
    restored.map_err(damaged)?;
    Ok(Restored {
        settings,
        model,
        path,
    })
}
