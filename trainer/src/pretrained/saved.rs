//! What lies at a path, told by what is in it and never by its name: a folder of ours, or a file of one of the known formats.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use tch::Tensor;

use super::about::About;
use super::error::PretrainedError;
use crate::checkpoint;

/// Tensors as somebody called them.
#[derive(Debug)]
pub(super) struct Saved {
    /// The file or checkpoint.
    pub(super) path: PathBuf,
    pub(super) tensors: Vec<(String, Tensor)>,
    pub(super) about: About,
}

/// Reads it.
pub(super) fn read(path: &Path) -> Result<Saved, PretrainedError> {
    if path.is_dir() {
        return of_folder(path);
    }
    let bytes = fs::read(path).map_err(|error| unreadable(path, &error.to_string()))?;
    of_safetensors(path, &bytes)
}

/// A checkpoint, or the latest of a run.
fn of_folder(path: &Path) -> Result<Saved, PretrainedError> {
    let below = [path.to_owned(), path.join("checkpoints")];
    let latest = || below.iter().find_map(|dir| checkpoint::list(dir).pop());
    let chosen = match checkpoint::is_one(path) {
        true => Some(path.to_owned()),
        false => latest(),
    };
    let path = chosen.ok_or_else(|| unreadable(path, "this folder holds no checkpoint"))?;
    let about = About::of_checkpoint(&checkpoint::state(&path)?);
    let tensors = checkpoint::load(&path)?.into_iter().collect();
    Ok(Saved {
        path,
        tensors,
        about,
    })
}

fn of_safetensors(path: &Path, bytes: &[u8]) -> Result<Saved, PretrainedError> {
    let damaged = |error: &dyn std::fmt::Display| unreadable(path, &format!("{error}"));
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| damaged(&error))?;
    let words: Option<HashMap<String, String>> = header.metadata().clone();
    let file = SafeTensors::deserialize(bytes).map_err(|error| damaged(&error))?;
    let mut tensors = Vec::new();
    for (name, view) in file.tensors() {
        let tensor = Tensor::try_from(view).map_err(|error| damaged(&error))?;
        tensors.push((name, tensor));
    }
    Ok(Saved {
        path: path.to_owned(),
        tensors,
        about: About::of_file(words),
    })
}

fn unreadable(path: &Path, what: &str) -> PretrainedError {
    PretrainedError::Unreadable {
        path: path.to_owned(),
        what: what.to_owned(),
    }
}
