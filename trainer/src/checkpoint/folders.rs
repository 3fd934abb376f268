//! The folders of checkpoints: what they are called, and how each comes and goes whole. Knows nothing of what is in them.
//!
//! A folder is written under a hidden name and renamed once all of it is synced, and it gets a hidden name again before it is
//! removed. So every folder with a plain name is whole, and a hidden one is what a kill left; the next save removes it.
//! Nothing is ever replaced: a second checkpoint of a step gets a name of its own, `step-00000120.1`.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

const PREFIX: &str = "step-";
const HIDDEN: &str = ".step-";
/// The link to the last one.
pub(super) const LATEST: &str = "latest";

/// Checkpoints below `dir`, oldest first.
pub fn list(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = entries(dir)
        .filter(|path| place_of(path).is_some())
        .collect();
    found.sort_by_key(|path| place_of(path));
    found
}

/// The step of a checkpoint.
pub(super) fn step_of(path: &Path) -> Option<u64> {
    place_of(path).map(|(step, _)| step)
}

/// Makes the hidden folder that the checkpoint of `step` is written to.
pub(super) fn begin(dir: &Path, step: u64) -> io::Result<PathBuf> {
    if !dir.is_dir() {
        fs::create_dir_all(dir)?;
        sync(dir.parent().unwrap_or(dir))?;
    }
    let is_left = |path: &PathBuf| name_of(path).is_some_and(|name| name.starts_with(HIDDEN));
    for left in entries(dir).filter(is_left) {
        fs::remove_dir_all(left)?;
    }
    let hidden = dir.join(format!("{HIDDEN}{step:08}.partial"));
    fs::create_dir(&hidden)?;
    Ok(hidden)
}

/// Gives a hidden folder, whose files are synced, its plain name.
pub(super) fn publish(dir: &Path, hidden: &Path, step: u64) -> io::Result<PathBuf> {
    sync(hidden)?;
    let places = list(dir).into_iter().filter_map(|path| place_of(&path));
    let of_step = places.filter(|(other, _)| *other == step);
    let name = match of_step.map(|(_, again)| again).max() {
        None => format!("{PREFIX}{step:08}"),
        Some(again) => format!("{PREFIX}{step:08}.{}", again + 1),
    };
    let path = dir.join(name);
    fs::rename(hidden, &path)?;
    sync(dir)?;
    Ok(path)
}

/// Has the link lead to a checkpoint beside it, at once.
pub(super) fn point_to(checkpoint: &Path) -> io::Result<()> {
    let hidden = checkpoint.with_file_name(format!("{HIDDEN}{LATEST}.partial"));
    if hidden.is_symlink() {
        fs::remove_file(&hidden)?;
    }
    symlink(name_of(checkpoint).unwrap_or_default(), &hidden)?;
    fs::rename(hidden, checkpoint.with_file_name(LATEST))
}

/// Removes a checkpoint.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let name = name_of(path).unwrap_or_default();
    let hidden = path.with_file_name(format!(".{name}.removed"));
    fs::rename(path, &hidden)?;
    fs::remove_dir_all(hidden)
}

/// Step, and which of the checkpoints of that step.
fn place_of(path: &Path) -> Option<(u64, u64)> {
    let name = name_of(path)?.strip_prefix(PREFIX)?;
    match name.split_once('.') {
        None => Some((name.parse().ok()?, 0)),
        Some((step, again)) => Some((step.parse().ok()?, again.parse().ok()?)),
    }
}

fn name_of(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}

fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
