//! A set given on the command line: its splits, and the class part of its keys.

use std::borrow::Cow;
use std::path::Path;

use shard_format::{Manifest, Sample, ShardSet, check_room_to_unpack, name};

use crate::error::ToolError;
use crate::source::catalogue::UNLABELLED;

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

/// Looks whether there is room for so many bytes of unpacked shards, split by split, for those who read all images.
///
/// # Errors
/// If there is not.
pub(super) fn check_room(num_bytes: impl Iterator<Item = u64>) -> Result<(), ToolError> {
    let num_bytes = num_bytes.fold(0, u64::saturating_add);
    Ok(check_room_to_unpack(num_bytes)?)
}

/// The name of a class; `None` where unlabelled, or where the label has no class.
pub(crate) fn class_of(classes: &[String], label: Option<u32>) -> Option<&str> {
    let class = classes.get(label? as usize)?;
    Some(class)
}

/// The key of a sample, of the form `<class>/<stem>` that packing gives it. In a set that was indexed in place keys have any form:
/// there the class is that of the label, and the stem is the whole key, without the class if it begins with that.
pub(crate) fn packed_key<'a>(set: &ShardSet, sample: &Sample<'a>) -> Cow<'a, str> {
    if set.manifest().indexed_in_place.is_none() {
        return sample.key.into();
    }
    let class = class_of(set.classes(), sample.label).unwrap_or(UNLABELLED);
    let key = sample.key.strip_prefix("./").unwrap_or(sample.key);
    let in_class = key
        .strip_prefix(class)
        .and_then(|key| key.strip_prefix('/'));
    let stem = name::escape_stem(in_class.unwrap_or(key).as_bytes());
    format!("{}/{stem}", name::escape_class(class.as_bytes())).into()
}
