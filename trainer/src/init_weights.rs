//! The weights that a run is given to start from (`TRAIN.INIT_WEIGHTS`): a safetensors file with the names that `trainer names` lists.
//!
//! All or nothing: what does not fit is told as a table before anything is changed. What the file lacks starts as usual, which is told too.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tch::{Tensor, no_grad};

use crate::failure::Failure;
use crate::method::Method;
use crate::output::show;
use crate::tensor_file::{Stored, TensorFile};

const KEY: &str = "TRAIN.INIT_WEIGHTS";
/// How PyTorch counts the batches of a batch normalisation. Its state dicts hold it and nothing here depends on it.
const BATCH_COUNT: &str = ".num_batches_tracked";
/// Names of tensors that a line has room for.
const NUM_SHOWN: usize = 4;

/// Gives a fresh model the weights of a file; what follows the student follows it from there.
///
/// # Errors
/// When the file cannot be read, holds no weights, or holds one that the model has no place for.
pub fn give(path: &Path, model: &mut dyn Method) -> Result<(), Failure> {
    let file = TensorFile::open(KEY, path)?;
    let weights = model.weights();
    let places: BTreeMap<&str, &Tensor> = weights
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor))
        .collect();
    let given = file.tensors().iter();
    let given: Vec<(&String, &Stored)> = given
        .filter(|(name, _)| !name.ends_with(BATCH_COUNT))
        .collect();
    compare(path, &places, &given)?;
    for (name, _) in &given {
        let value = file.read(name)?;
        no_grad(|| places[name.as_str()].shallow_clone().copy_(&value));
    }
    model.match_student();
    show!("{}", line(path, &weights, &given));
    Ok(())
}

/// Every tensor must have its place and every place its shape.
fn compare(
    path: &Path,
    places: &BTreeMap<&str, &Tensor>,
    given: &[(&String, &Stored)],
) -> Result<(), Failure> {
    let rows = given.iter().filter_map(|(name, stored)| {
        let what = difference(places.get(name.as_str()), stored)?;
        Some(format!("\n  {name}: {what}"))
    });
    let rows: Vec<String> = rows.collect();
    let shown = path.display();
    if given.is_empty() {
        return Err(Failure::Usage(format!(
            "{KEY}: the file holds no weights; {shown}; write some of the names that `trainer names` lists"
        )));
    }
    if !rows.is_empty() {
        return Err(Failure::Usage(format!(
            "{KEY}: {} of {} tensors do not fit this model; {shown}; `trainer names` lists its names and shapes:{}",
            rows.len(),
            given.len(),
            rows.concat()
        )));
    }
    Ok(())
}

fn difference(place: Option<&&Tensor>, stored: &Stored) -> Option<String> {
    let Some(place) = place else {
        return Some(format!("{:?} in the file, not in the model", stored.shape));
    };
    if !stored.is_floating_point() {
        let dtype = stored.dtype;
        return Some(format!(
            "{dtype:?} in the file, a floating-point kind is needed"
        ));
    }
    let size = place.size();
    (size != stored.shape).then(|| {
        let found = &stored.shape;
        format!("{found:?} in the file, {size:?} in the model")
    })
}

fn line(path: &Path, weights: &[(String, Tensor)], given: &[(&String, &Stored)]) -> String {
    let names: BTreeSet<&str> = given.iter().map(|(name, _)| name.as_str()).collect();
    let absent = weights.iter().map(|(name, _)| name.as_str());
    let absent: Vec<&str> = absent.filter(|name| !names.contains(name)).collect();
    let kinds = given
        .iter()
        .map(|(_, stored)| format!("{:?}", stored.dtype));
    let kinds: BTreeSet<String> = kinds.filter(|kind| kind != "F32").collect();
    let converted = if kinds.is_empty() {
        String::new()
    } else {
        let kinds: Vec<String> = kinds.into_iter().collect();
        format!("; converted to F32 from {}", kinds.join(", "))
    };
    let left = if absent.is_empty() {
        String::new()
    } else {
        format!("; {} start as usual: {}", absent.len(), shortened(&absent))
    };
    let (num_given, num_places) = (given.len(), weights.len());
    let path = path.display();
    format!("weights: {num_given} of {num_places} tensors from {path}{converted}{left}")
}

fn shortened(names: &[&str]) -> String {
    let shown = names[..names.len().min(NUM_SHOWN)].join(", ");
    match names.len().saturating_sub(NUM_SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
