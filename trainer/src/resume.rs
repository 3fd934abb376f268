//! The checkpoint that a run continues from, and whether it may: which settings have to be those of then.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use tch::Tensor;

use crate::batch_change::BatchChange;
use crate::batch_source::DataFacts;
use crate::checkpoint::{self, CheckpointError, Position, State, Tensors};
use crate::config::keys::{KEYS, Key, Meaning, OnResume};
use crate::config::{RawConfig, Settings};
use crate::differences;
use crate::failure::Failure;
use crate::method::Method;
use crate::output::show;
use crate::scaler::Scaler;

/// Which checkpoint to continue from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ResumeFrom {
    /// The latest one, or none at all.
    Latest,
    /// The latest one that is not damaged.
    Auto,
}

/// A checkpoint to continue from.
#[derive(Debug)]
pub struct Resume {
    path: PathBuf,
    state: State,
    /// Where the run goes on, in batches of now.
    position: Position,
    change: Option<BatchChange>,
}

impl Resume {
    /// The checkpoint to continue from, if these settings can continue it.
    ///
    /// # Errors
    /// When there is none, it is damaged, or it is of another run.
    pub fn find(checkpoints: &Path, raw: &RawConfig, from: ResumeFrom) -> Result<Resume, Failure> {
        let (path, state) = match from {
            ResumeFrom::Latest => checkpoint::latest(checkpoints)?,
            ResumeFrom::Auto => newest_whole(checkpoints)?,
        };
        compare_settings(&path, &state.settings, raw)?;
        show!("continuing from {}", path.display());
        let change = BatchChange::between(&state.settings, &raw.to_map());
        let position = change.map_or(state.position, |change| {
            let moved = change.moved(state.position, state.steps_per_epoch);
            show!(
                "note: with another batch size {}",
                change.effect(state.position, moved)
            );
            moved
        });
        Ok(Resume {
            path,
            state,
            position,
            change,
        })
    }

    /// Where the run goes on.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Brings the state back.
    ///
    /// # Errors
    /// When the data set is another one, or the tensors are damaged or those of another model.
    pub fn restore(
        &self,
        model: &mut dyn Method,
        settings: &Settings,
        facts: &DataFacts,
    ) -> Result<(), Failure> {
        self.check_data(settings, facts)?;
        let tensors = checkpoint::load(&self.path)?;
        let wanted = model.state();
        let wanted = wanted.iter().map(|(name, tensor)| (name, tensor));
        let (wanted_scale, wanted): (Vec<_>, Vec<_>) = wanted.partition(is_of_scale);
        let (found_scale, found): (Vec<_>, Vec<_>) = tensors.iter().partition(is_of_scale);
        let differences = differences::between(wanted.into_iter(), found.into_iter());
        if !differences.is_empty() {
            return Err(Failure::Usage(format!(
                "the checkpoint is of another model; {}; set back what was changed or choose another OUTPUT_DIR:{}",
                self.path.display(),
                differences::table(&differences)
            )));
        }
        let restored = model.restore(&checkpoint::finder(&tensors));
        let damaged = |what| CheckpointError::Damaged {
            path: self.path.clone(),
            what,
        };
        restored.map_err(damaged)?;
        show!("took {}", self.taken(&tensors));
        if wanted_scale.len() > found_scale.len() {
            show!(
                "note: the checkpoint is of another precision: the scale of the loss starts anew"
            );
        }
        Ok(())
    }

    /// The data set must be the one of then: it gives as many steps in an epoch.
    fn check_data(&self, settings: &Settings, facts: &DataFacts) -> Result<(), Failure> {
        let steps_then = match self.change {
            None => facts.steps_per_epoch,
            Some(BatchChange { then, .. }) if settings.drop_last => facts.num_samples / then,
            Some(BatchChange { then, .. }) => facts.num_samples.div_ceil(then),
        };
        if self.state.steps_per_epoch == steps_then {
            return Ok(());
        }
        Err(Failure::Usage(format!(
            "the checkpoint counts {} steps per epoch, the data set gives {steps_then}; {}; use the data set the run began with",
            self.state.steps_per_epoch,
            self.path.display()
        )))
    }

    fn taken(&self, tensors: &Tensors) -> String {
        let Position { step, epoch, .. } = self.state.position;
        let part = |name: &String| name.split('.').next().unwrap_or_default().to_owned();
        let parts: BTreeSet<String> = tensors.keys().map(part).collect();
        let parts = parts.into_iter().collect::<Vec<_>>().join(", ");
        let num = tensors.len();
        format!(
            "{parts} ({num} tensors) of step {step}, in epoch {}",
            epoch + 1
        )
    }
}

/// What a run in half precision has more than others; a change of the precision is no other run.
fn is_of_scale((name, _): &(&String, &Tensor)) -> bool {
    name.strip_prefix("optimizer.")
        .is_some_and(Scaler::is_its_own)
}

/// The latest whole checkpoint; those that are passed over are told.
fn newest_whole(checkpoints: &Path) -> Result<(PathBuf, State), Failure> {
    let (path, state, damaged) = checkpoint::newest_whole(checkpoints)?;
    for error in damaged {
        show!("note: passed over: {error}");
    }
    Ok((path, state))
}

/// Differences in keys that shape the state are refused as a table; the others are told.
fn compare_settings(
    path: &Path,
    then: &BTreeMap<String, String>,
    raw: &RawConfig,
) -> Result<(), Failure> {
    let now = raw.to_map();
    let is_read = |key: &Key| matches!(key.meaning, Meaning::Ignored(_)) || raw.idle(key).is_none();
    let differs = |key: &&Key| is_read(key) && then.get(key.path) != now.get(key.path);
    let row = |key: &Key| {
        let value =
            |side: &BTreeMap<String, String>| side.get(key.path).cloned().unwrap_or_default();
        format!("{}: saved {}, now {}", key.path, value(then), value(&now))
    };
    let changed: Vec<&Key> = KEYS.iter().filter(differs).collect();
    let of = |wanted: OnResume| changed.iter().filter(move |key| key.on_resume == wanted);
    let fatal: Vec<String> = of(OnResume::Fixed)
        .map(|key| format!("  {}", row(key)))
        .collect();
    if !fatal.is_empty() {
        return Err(Failure::Usage(format!(
            "the checkpoint is of another run; {}; set these back or choose another OUTPUT_DIR:\n{}",
            path.display(),
            fatal.join("\n")
        )));
    }
    for key in of(OnResume::Told) {
        show!("note: changed since the checkpoint: {}", row(key));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::config::{Resolved, resolve};
    use crate::machine::Machine;
    use crate::model::precision::Precision;

    const SMALL: &str = "SSL_METHOD: MOCO\nMODEL: {BACKBONE_ARCH: mobilenet_v2}\nTRAIN: {BATCH_SIZE: 8}\n\
                         MOCO: {HIDDEN_SIZE: 8, OUTPUT_DIM: 8, QUEUE_LENGTH: 8}\n";

    fn settings() -> Settings {
        let raw = RawConfig::parse("small.yaml", SMALL, &[]).unwrap();
        match resolve(&raw).unwrap() {
            Resolved::Runnable(settings) => *settings,
            Resolved::Unavailable(what) => panic!("{what:?}"),
        }
    }

    #[test]
    fn a_change_of_precision_is_no_other_model() {
        let settings = settings();
        let of = |precision| {
            let machine = Machine::alone(Device::Cpu, precision);
            settings.method.build(None, &machine)
        };
        let facts = DataFacts {
            num_samples: 24,
            num_unlabelled: 0,
            num_classes: 0,
            steps_per_epoch: 3,
        };
        for (then, now) in [
            (Precision::Fp16, Precision::Full),
            (Precision::Full, Precision::Fp16),
        ] {
            let state = State {
                position: Position::default(),
                steps_per_epoch: 3,
                probe_classes: None,
                settings: BTreeMap::new(),
            };
            let dir = tempfile::tempdir().unwrap();
            let path = checkpoint::save(dir.path(), &state, &of(then).state()).unwrap();
            let resume = Resume {
                path,
                position: state.position,
                state,
                change: None,
            };
            let restored = resume.restore(of(now).as_mut(), &settings, &facts);
            restored.unwrap();
        }
    }
}
