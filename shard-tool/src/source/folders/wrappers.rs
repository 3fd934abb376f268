//! Folders around the one that counts, such as `ILSVRC/Data/CLS-LOC/` of a download: each holds images in one folder alone, and
//! there in folders. Archives are read by the same rule ([`super::super::archives`]).

use std::collections::HashSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::walk::{Identity, identity, list};
use crate::error::ToolError;
use crate::report::counts::Reasons;
use crate::source::lines::is_image_name;
use crate::source::skipped::why_hidden;
use crate::source::splits::{TRAIN, VAL};

/// The folder below `src`, or `src` itself, that holds the splits or the classes.
pub(super) fn inside(src: &Path) -> Result<PathBuf, ToolError> {
    let mut dir = src.to_owned();
    while let Some(inner) = the_only_one_with_images(&dir)? {
        dir = inner;
    }
    Ok(dir)
}

/// The folder in `dir` that is to be looked into in its place, if there is one.
fn the_only_one_with_images(dir: &Path) -> Result<Option<PathBuf>, ToolError> {
    let outer = Level::of(dir)?;
    if outer.has_images || outer.has_splits {
        return Ok(None);
    }
    let mut with_images = outer.folders.iter().filter(|folder| holds_images(folder));
    let (Some(only), None) = (with_images.next(), with_images.next()) else {
        return Ok(None);
    };
    let inner = Level::of(only)?;
    let is_class = inner.has_images && !inner.has_splits;
    let is_wrapper = !is_class && inner.folders.iter().any(|folder| holds_images(folder));
    Ok(is_wrapper.then(|| only.clone()))
}

/// What lies directly in a folder.
pub(super) struct Level {
    pub(super) folders: Vec<PathBuf>,
    /// By their names.
    pub(super) has_images: bool,
    has_splits: bool,
}

impl Level {
    pub(super) fn of(dir: &Path) -> Result<Self, ToolError> {
        let mut has_images = false;
        // What is skipped is counted when the folder is listed for good.
        let folders = list(dir, &mut Reasons::default(), &mut |file, _| {
            has_images |= is_image_name(file.as_bytes());
            Ok(())
        })?;
        Ok(Self {
            has_images,
            has_splits: folders
                .iter()
                .any(|folder| folder == TRAIN || folder == VAL),
            folders: folders.iter().map(|folder| dir.join(folder)).collect(),
        })
    }
}

/// Whether a file that is named like an image lies anywhere in the folder.
pub(super) fn holds_images(dir: &Path) -> bool {
    looks_into(dir, &mut HashSet::new())
}

fn looks_into(dir: &Path, seen: &mut HashSet<Identity>) -> bool {
    let is_new = identity(dir).is_ok_and(|folder| seen.insert(folder));
    let entries = is_new.then(|| fs::read_dir(dir).ok()).flatten();
    let visible = entries
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| why_hidden(entry.file_name().as_bytes()).is_none());
    let mut others = Vec::new();
    for entry in visible {
        if is_image_name(entry.file_name().as_bytes()) {
            return true;
        }
        if entry.file_type().is_ok_and(|kind| !kind.is_file()) {
            others.push(entry.path());
        }
    }
    others
        .iter()
        .any(|other| other.is_dir() && looks_into(other, seen))
}
