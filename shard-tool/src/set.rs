//! A set given on the command line: its splits, and the class part of its keys.

use std::path::Path;

use shard_format::{Manifest, ShardSet};

use crate::error::ToolError;

/// Opens `split` of the set in `dir`, or all of its splits, in order of name.
///
/// # Errors
/// If there is no such set or split, or it cannot be read.
pub(crate) fn open(dir: &Path, split: Option<&str>) -> Result<Vec<ShardSet>, ToolError> {
    let names = match split {
        Some(split) => vec![split.to_owned()],
        None => Manifest::load(dir)?.split_names(),
    };
    let open_one = |name: &String| Ok(ShardSet::open(dir, name)?);
    names.iter().map(open_one).collect()
}

/// The name of a class; `None` where unlabelled, or where the label has no class.
pub(crate) fn class_of(classes: &[String], label: Option<u32>) -> Option<&str> {
    let class = classes.get(label? as usize)?;
    Some(class)
}
