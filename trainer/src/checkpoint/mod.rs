//! Checkpoints: the whole state, always in a folder of its own. A kill at any moment leaves a newest one that is whole; how,
//! says the module `folders`.
//!
//! `checkpoints/step-00000120/` holds `state.safetensors` (every tensor by name) and `state.json` (position, settings, and the
//! length and CRC-32C of the tensors, checked before anything is loaded); `checkpoints/latest` is a link to it. Nothing else is random here once training runs: order
//! and views follow from the seed and the position.

mod folders;

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use safetensors::SafeTensorError;
use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor};

pub use folders::list;

/// Version of this layout.
const FORMAT: u32 = 1;
const TENSORS: &str = "state.safetensors";
const STATE: &str = "state.json";

/// Which checkpoints stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// So many of the last ones.
    pub last: usize,
    /// Those at the end of every so-many-th epoch.
    pub period_epochs: u64,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Steps done in all.
    pub step: u64,
    /// Epoch of the next step, counted from 0; the loader's cursor.
    pub epoch: u64,
    /// Steps done in that epoch; the loader's cursor.
    pub step_in_epoch: u64,
    /// Whether the state at this point was validated.
    pub is_validated: bool,
}

impl Position {
    /// Steps of the schedules that are done. It is `step`, unless the batch size changed on the way.
    pub fn steps_of_schedule(&self, steps_per_epoch: u64) -> u64 {
        self.epoch * steps_per_epoch + self.step_in_epoch
    }

    /// Whether this is the end of a `period_epochs`-th epoch.
    fn ends_period(&self, period_epochs: u64) -> bool {
        self.step_in_epoch == 0 && self.epoch > 0 && self.epoch.is_multiple_of(period_epochs)
    }
}

/// What a checkpoint says about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Where the run stands.
    pub position: Position,
    /// Steps in an epoch, in batches of the last run.
    pub steps_per_epoch: u64,
    /// Classes of the joint linear probe.
    pub probe_classes: Option<i64>,
    /// Every configuration key with its value.
    pub settings: BTreeMap<String, String>,
}

/// `state.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    format: u32,
    trainer: String,
    tensors_bytes: u64,
    tensors_crc32c: u32,
    state: State,
}

/// Tensors of a checkpoint by name.
pub type Tensors = HashMap<String, Tensor>;

/// What can be wrong with a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// There is none.
    #[error("there is no checkpoint to continue from; {}; start a new run", .0.display())]
    None(PathBuf),
    /// It cannot be read as written.
    #[error("the checkpoint is damaged: {what}; {}; remove this folder to continue from the one before it", .path.display())]
    Damaged {
        /// The checkpoint's folder.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// It cannot be written.
    #[error("saving failed: {source}; {}; {}", .path.display(), remedy(.source))]
    Write {
        /// What was written.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

/// Saves a checkpoint below `dir` and returns its folder. Old ones are removed by [`prune`].
///
/// # Errors
/// [`CheckpointError::Write`]; what was there before stays whole.
pub fn save(
    dir: &Path,
    state: &State,
    tensors: &[(String, Tensor)],
) -> Result<PathBuf, CheckpointError> {
    let step = state.position.step;
    let written = folders::begin(dir, step).and_then(|hidden| {
        let written = write(&hidden, state, tensors);
        let published = written.and_then(|()| folders::publish(dir, &hidden, step));
        if published.is_err() {
            // What is left of the attempt only takes space; the next one tries again.
            let _ = fs::remove_dir_all(&hidden);
        }
        published
    });
    written.map_err(|source| CheckpointError::Write {
        path: dir.to_owned(),
        source,
    })
}

/// The latest checkpoint below `dir`, without its tensors.
///
/// # Errors
/// When there is none, or it is damaged.
pub fn latest(dir: &Path) -> Result<(PathBuf, State), CheckpointError> {
    let path = list(dir)
        .pop()
        .ok_or_else(|| CheckpointError::None(dir.to_owned()))?;
    let state = state(&path)?;
    Ok((path, state))
}

/// Whether this folder is a checkpoint.
pub fn is_one(path: &Path) -> bool {
    path.join(STATE).is_file()
}

/// What a checkpoint says about itself.
///
/// # Errors
/// When it is damaged.
pub fn state(path: &Path) -> Result<State, CheckpointError> {
    Ok(record(path)?.state)
}

/// The newest checkpoint below `dir` that is whole, without its tensors, and what is wrong with those that are newer.
///
/// # Errors
/// When there is none; what is wrong with the newest.
pub fn newest_whole(dir: &Path) -> Result<(PathBuf, State, Vec<CheckpointError>), CheckpointError> {
    let mut damaged = Vec::new();
    for path in list(dir).into_iter().rev() {
        match record(&path).and_then(|record| load(&path).map(|_| record.state)) {
            Ok(state) => return Ok((path, state, damaged)),
            Err(error) => damaged.push(error),
        }
    }
    let newest = damaged.into_iter().next();
    Err(newest.unwrap_or_else(|| CheckpointError::None(dir.to_owned())))
}

/// The tensors of a checkpoint, after checking that they are what was written.
///
/// # Errors
/// When the file is damaged.
pub fn load(path: &Path) -> Result<Tensors, CheckpointError> {
    let record = record(path)?;
    let file = path.join(TENSORS);
    let damaged = |what: String| CheckpointError::Damaged {
        path: path.to_owned(),
        what,
    };
    let bytes = fs::read(&file).map_err(|error| damaged(format!("{TENSORS}: {error}")))?;
    if bytes.len() as u64 != record.tensors_bytes {
        let (found, wanted) = (bytes.len(), record.tensors_bytes);
        return Err(damaged(format!(
            "{TENSORS} has {found} bytes instead of {wanted}"
        )));
    }
    if crc32c::crc32c(&bytes) != record.tensors_crc32c {
        return Err(damaged(format!("{TENSORS} has another checksum")));
    }
    drop(bytes);
    let tensors = Tensor::read_safetensors(&file);
    let tensors = tensors.map_err(|error| damaged(format!("{TENSORS}: {error}")))?;
    Ok(tensors.into_iter().collect())
}

/// Gives the tensor of a name and shape, or says what is wrong; for [`crate::method::Method::restore`].
pub fn finder(tensors: &Tensors) -> impl Fn(&str, &[i64]) -> Result<Tensor, String> + '_ {
    move |name, shape| {
        let tensor = tensors
            .get(name)
            .ok_or_else(|| format!("it has no tensor {name}"))?;
        if tensor.size() != shape {
            let found = tensor.size();
            return Err(format!("{name} has shape {found:?} instead of {shape:?}"));
        }
        Ok(tensor.shallow_clone())
    }
}

/// Has the link `latest` lead to a checkpoint. It is for people and scripts: a kill may come before it, so nothing here reads it.
///
/// # Errors
/// When the file system takes no link; the checkpoint is whole all the same.
pub fn point_to(checkpoint: &Path) -> Result<(), CheckpointError> {
    folders::point_to(checkpoint).map_err(|source| CheckpointError::Write {
        path: checkpoint.with_file_name(folders::LATEST),
        source,
    })
}

/// Removes all checkpoints but those to keep; of a step the last one is enough, if it is whole. Damaged ones stay.
///
/// # Errors
/// When a folder cannot be removed.
pub fn prune(dir: &Path, keep: Keep) -> Result<(), CheckpointError> {
    let all = list(dir);
    let is_followed = |index: usize| {
        let next = all.get(index + 1);
        let is_whole = |next: &&PathBuf| record(next).is_ok();
        let next = next.filter(is_whole);
        next.is_some_and(|next| folders::step_of(next) == folders::step_of(&all[index]))
    };
    let (followed, last): (Vec<usize>, Vec<usize>) = (0..all.len()).partition(|&i| is_followed(i));
    let old = &last[..last.len().saturating_sub(keep.last)];
    let is_passed = |path: &Path| match record(path) {
        Ok(record) => !record.state.position.ends_period(keep.period_epochs),
        Err(_) => false,
    };
    let passed = old.iter().filter(|&&index| is_passed(&all[index]));
    for index in followed.iter().chain(passed) {
        let path = all[*index].clone();
        folders::remove(&path).map_err(|source| CheckpointError::Write { path, source })?;
    }
    Ok(())
}

/// What the system said, which the bindings tell as code.
fn system_error(error: TchError) -> io::Error {
    match error {
        TchError::SafeTensorError {
            err: SafeTensorError::IoError(error),
            ..
        } => error,
        other => io::Error::other(other),
    }
}

/// What to do about a checkpoint that cannot be written.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::FileTooLarge => "raise the limit of a file's size (ulimit -f)",
        _ => "make space or check permissions",
    }
}

/// Writes and syncs the files of a checkpoint.
fn write(folder: &Path, state: &State, tensors: &[(String, Tensor)]) -> io::Result<()> {
    let contiguous: Vec<(&str, Tensor)> = tensors
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor.contiguous()))
        .collect();
    let file = folder.join(TENSORS);
    Tensor::write_safetensors(&contiguous, &file).map_err(system_error)?;
    File::open(&file)?.sync_all()?;
    let bytes = fs::read(&file)?;
    let record = Record {
        format: FORMAT,
        trainer: env!("CARGO_PKG_VERSION").to_owned(),
        tensors_bytes: bytes.len() as u64,
        tensors_crc32c: crc32c::crc32c(&bytes),
        state: state.clone(),
    };
    let mut file = File::create(folder.join(STATE))?;
    file.write_all(&serde_json::to_vec_pretty(&record)?)?;
    file.sync_all()
}

fn record(path: &Path) -> Result<Record, CheckpointError> {
    let damaged = |what: String| CheckpointError::Damaged {
        path: path.to_owned(),
        what,
    };
    let text = fs::read(path.join(STATE)).map_err(|error| damaged(format!("{STATE}: {error}")))?;
    let record: Record =
        serde_json::from_slice(&text).map_err(|error| damaged(format!("{STATE}: {error}")))?;
    if record.format == FORMAT {
        Ok(record)
    } else {
        let found = record.format;
        Err(damaged(format!("{STATE} has format {found}, not {FORMAT}")))
    }
}

#[cfg(test)]
mod tests;
