//! How tensors that were saved differ, in name or shape, from those that a model has.

use std::collections::BTreeMap;
use std::fmt;

use tch::Tensor;

/// One name that does not agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// The model has it, with this shape; it was not saved.
    Missing(String, Vec<i64>),
    /// It was saved, and the model has it not.
    Unexpected(String),
    /// Name, shape found, shape wanted.
    Shape(String, Vec<i64>, Vec<i64>),
}

/// Every difference, by name.
pub fn between<'a>(
    wanted: impl Iterator<Item = (&'a String, &'a Tensor)>,
    found: impl Iterator<Item = (&'a String, &'a Tensor)>,
) -> Vec<Difference> {
    let wanted: BTreeMap<_, _> = wanted.collect();
    let found: BTreeMap<_, _> = found.collect();
    let unmet = wanted.iter().filter_map(|(name, wanted)| {
        let (name, wanted) = ((*name).clone(), wanted.size());
        match found.get(&name).map(|tensor| tensor.size()) {
            None => Some(Difference::Missing(name, wanted)),
            Some(found) if found != wanted => Some(Difference::Shape(name, found, wanted)),
            Some(_) => None,
        }
    });
    let is_unexpected = |name: &&&String| !wanted.contains_key(**name);
    let unexpected = found.keys().filter(is_unexpected);
    let unexpected = unexpected.map(|name| Difference::Unexpected((*name).clone()));
    unmet.chain(unexpected).collect()
}

/// A line for each, as the end of a message.
pub fn table(differences: &[Difference]) -> String {
    let lines = differences.iter();
    lines
        .map(|difference| format!("\n  {difference}"))
        .collect()
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Missing(name, wanted) => write!(f, "{name} {wanted:?} is missing"),
            Difference::Unexpected(name) => write!(f, "{name} is not expected"),
            Difference::Shape(name, found, wanted) => {
                write!(f, "{name} has shape {found:?} instead of {wanted:?}")
            }
        }
    }
}
