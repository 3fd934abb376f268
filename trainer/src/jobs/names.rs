//! `trainer names`: the tensors that a run may be given to start from.

use std::collections::BTreeMap;

use tch::Tensor;

use super::{configuration, result};
use crate::cli::NamesArgs;
use crate::failure::Failure;
use crate::machine::Machine;

/// Classes of the probe or classifier where the configuration leaves them to the data set: it is not opened here.
const SOME_CLASSES: i64 = 1000;

/// Prints name and shape of each, in the order of registration.
///
/// # Errors
/// When the configuration cannot be run, or the result cannot be written.
pub(super) fn run(args: &NamesArgs) -> Result<(), Failure> {
    let raw = configuration::read(&args.config)?;
    let settings = configuration::runnable(&raw, &args.config)?;
    let classes = settings.num_classes.unwrap_or(SOME_CLASSES);
    let classes = settings.needs_classes().then_some(classes);
    let model = settings.method.build(classes, &Machine::cpu());
    let weights = model.weights();
    result::print(&if args.json {
        as_json(&weights)
    } else {
        as_lines(&weights)
    })
}

fn as_lines(weights: &[(String, Tensor)]) -> String {
    let line = |(name, tensor): &(String, Tensor)| format!("{name} {:?}\n", tensor.size());
    weights.iter().map(line).collect()
}

fn as_json(weights: &[(String, Tensor)]) -> String {
    let shapes = weights.iter().map(|(name, tensor)| (name, tensor.size()));
    let shapes: BTreeMap<_, _> = shapes.collect();
    serde_json::to_string_pretty(&shapes).expect("names and numbers") + "\n"
}
