//! The checkpoint that a run continues from, and whether it may: which settings have to be those of then.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::checkpoint::{self, CheckpointError, Position, State};
use crate::config::RawConfig;
use crate::failure::Failure;
use crate::method::dino::Dino;
use crate::output::show;

/// Keys that decide the shape of the state: a checkpoint with other values cannot be continued.
const SHAPE_KEYS: [&str; 11] = [
    "SSL_METHOD",
    "MODEL.BACKBONE_ARCH",
    "DINOHead.OUTPUT_DIM",
    "DINOHead.HIDDEN_SIZE",
    "DINOHead.BOTTLENECK_DIM",
    "DINOHead.NUM_LAYERS",
    "DINOHead.USE_BN_IN_HEAD",
    "DINOHead.NORM_LAST_YEAR",
    "SOLVER.OPTIMIZING_METHOD",
    "TRAIN.JOINT_LINEAR_PROBE",
    "TRAIN.BATCH_SIZE",
];

/// Keys that a continued run may change without a word.
const FREE_KEYS: [&str; 6] = [
    "OUTPUT_DIR",
    "LOADER.SOCKET",
    "LOADER.SLOTS",
    "LOADER.TIMEOUT_S",
    "TRAIN.MAX_STEPS",
    "LOG_STEP",
];

/// A checkpoint to continue from.
#[derive(Debug)]
pub struct Resume {
    path: PathBuf,
    state: State,
}

impl Resume {
    /// The latest checkpoint, if these settings can continue it.
    ///
    /// # Errors
    /// When there is none, it is damaged, or it is of another run.
    pub fn find(checkpoints: &Path, raw: &RawConfig) -> Result<Resume, Failure> {
        let (path, state) = checkpoint::latest(checkpoints)?;
        compare_settings(&path, &state.settings, &raw.to_map())?;
        show!("continuing from {}", path.display());
        Ok(Resume { path, state })
    }

    /// Where it was saved.
    pub fn position(&self) -> Position {
        self.state.position
    }

    /// Brings the state back.
    ///
    /// # Errors
    /// When the data set is another one, or the tensors are damaged.
    pub fn restore(&self, model: &mut Dino, steps_per_epoch: u64) -> Result<(), Failure> {
        if self.state.steps_per_epoch != steps_per_epoch {
            return Err(Failure::Usage(format!(
                "the checkpoint counts {} steps per epoch, the data set gives {steps_per_epoch}; {}; use the data set the run began with",
                self.state.steps_per_epoch,
                self.path.display()
            )));
        }
        let tensors = checkpoint::load(&self.path)?;
        let restored = model.restore(checkpoint::finder(&tensors));
        let damaged = |what| CheckpointError::Damaged {
            path: self.path.clone(),
            what,
        };
        Ok(restored.map_err(damaged)?)
    }
}

/// Differences in keys that shape the state are refused as a table; the others are told.
fn compare_settings(
    path: &Path,
    then: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
) -> Result<(), Failure> {
    let differs = |key: &&String| then.get(*key) != now.get(*key);
    let row = |key: &String| {
        let value = |side: &BTreeMap<String, String>| side.get(key).cloned().unwrap_or_default();
        format!("  {key}: saved {}, now {}", value(then), value(now))
    };
    let changed: Vec<&String> = now.keys().filter(differs).collect();
    let is_shape = |key: &str| SHAPE_KEYS.contains(&key);
    let fatal: Vec<String> = changed
        .iter()
        .filter(|key| is_shape(key))
        .map(|key| row(key))
        .collect();
    if !fatal.is_empty() {
        return Err(Failure::Usage(format!(
            "the checkpoint is of another run; {}; set these back or choose another OUTPUT_DIR:\n{}",
            path.display(),
            fatal.join("\n")
        )));
    }
    for key in changed {
        if !FREE_KEYS.contains(&key.as_str()) {
            show!("note: changed since the checkpoint:{}", &row(key)[1..]);
        }
    }
    Ok(())
}
