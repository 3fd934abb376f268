//! What lies at a path, told by what is in it and never by its name: a folder of ours, or a file of one of the known formats.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use tch::Tensor;

use super::about::About;
use super::error::PretrainedError;
use super::names::{self, Network, Place};
use super::pth;
use crate::checkpoint;

/// Networks that somebody saved.
#[derive(Debug)]
pub(super) struct Saved {
    /// The file or checkpoint.
    pub(super) path: PathBuf,
    pub(super) tensors: Vec<Named>,
    /// Everything else: what of, why, and how many tensors.
    pub(super) left: BTreeMap<(String, String), u64>,
    pub(super) about: About,
}

/// A tensor of a network.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) network: Network,
    /// Its name in the network.
    pub(super) name: String,
    /// Its name in the file.
    pub(super) called: String,
    pub(super) tensor: Tensor,
}

/// Reads it.
pub(super) fn read(path: &Path) -> Result<Saved, PretrainedError> {
    if path.is_dir() {
        return of_folder(path);
    }
    let failed = |error: std::io::Error| unreadable(path, &error.to_string());
    let mut start = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(4).read_to_end(&mut start).map_err(failed)?;
    match pth::is_one(&start) {
        true => of_pytorch(path),
        false => of_safetensors(path, &fs::read(path).map_err(failed)?),
    }
}

impl Saved {
    fn new(path: PathBuf, about: About) -> Saved {
        Saved {
            path,
            tensors: Vec::new(),
            left: BTreeMap::new(),
            about,
        }
    }

    fn put(&mut self, called: String, tensor: Option<Tensor>) {
        match (names::place(&called), tensor) {
            (Place::Of(network, name), Some(tensor)) => self.tensors.push(Named {
                network,
                name,
                called,
                tensor,
            }),
            (Place::Of(_, what), None) => self.leave(what, "it is not read"),
            (Place::Left(what, why), _) => self.leave(what, why),
        }
    }

    fn leave(&mut self, what: String, why: impl Into<String>) {
        *self.left.entry((what, why.into())).or_insert(0) += 1;
    }
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
    let tensors = checkpoint::load(&path)?;
    let mut saved = Saved::new(path, about);
    for (name, tensor) in tensors {
        saved.put(name, Some(tensor));
    }
    Ok(saved)
}

/// What `torch.save` wrote. Tensors of no network are not even read.
fn of_pytorch(path: &Path) -> Result<Saved, PretrainedError> {
    let mut saved = Saved::new(path.to_owned(), About::default());
    let is_wanted = |name: &str| matches!(names::place(name), Place::Of(..));
    let mut foreign = BTreeMap::new();
    let found = pth::read(path, is_wanted, |name, class| {
        foreign.insert(name.to_owned(), class.to_owned());
    });
    for (name, tensor) in found.map_err(|what| unreadable(path, &what))? {
        saved.put(name, tensor);
    }
    match foreign.get("") {
        Some(class) => Err(unreadable(
            path,
            &format!(
                "it is an object of {class} and no dictionary of tensors (save its state_dict())"
            ),
        )),
        None => {
            for (name, class) in foreign {
                saved.leave(
                    name,
                    format!("an object of {class}, which is not built here"),
                );
            }
            Ok(saved)
        }
    }
}

fn of_safetensors(path: &Path, bytes: &[u8]) -> Result<Saved, PretrainedError> {
    let damaged = |error: &dyn std::fmt::Display| unreadable(path, &format!("{error}"));
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| damaged(&error))?;
    let words: Option<HashMap<String, String>> = header.metadata().clone();
    let file = SafeTensors::deserialize(bytes).map_err(|error| damaged(&error))?;
    let mut saved = Saved::new(path.to_owned(), About::of_file(words));
    for (name, view) in file.tensors() {
        let tensor = Tensor::try_from(view).map_err(|error| damaged(&error))?;
        saved.put(name, Some(tensor));
    }
    Ok(saved)
}

fn unreadable(path: &Path, what: &str) -> PretrainedError {
    PretrainedError::Unreadable {
        path: path.to_owned(),
        what: what.to_owned(),
    }
}
