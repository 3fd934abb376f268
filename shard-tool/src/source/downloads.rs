//! Folders that hold archives as they were downloaded, which stand for these archives.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::archives::is_archive;
use super::devkit;
use super::lines::is_image_name;
use super::skipped::{BESIDE_SPLITS, why_hidden};
use super::splits::{TRAIN, VAL};
use crate::error::ToolError;
use crate::report::counts::Reasons;

/// What else lies in a folder of archives.
const BESIDE_ARCHIVES: &str = "beside archives, and neither a .tar nor the devkit";

/// The given paths, with the archives and the devkit in it in place of a folder of archives.
///
/// # Errors
/// If such a folder cannot be listed.
pub(super) fn expanded(paths: &[PathBuf], skips: &mut Reasons) -> Result<Vec<PathBuf>, ToolError> {
    let mut all = Vec::new();
    for path in paths {
        if path.is_dir() && is_of_archives(path)? {
            all.extend(archives_in(path, skips)?);
        } else if let Some(archive) = half_unpacked(path) {
            return Err(ToolError::data(
                format_args!("one split is in {archive}, the other in a folder beside it"),
                path.display(),
                "move the folder elsewhere and give both, as several sources, or unpack the archive",
            ));
        } else {
            all.push(path.clone());
        }
    }
    Ok(all)
}

/// The archive of a split, as it was downloaded, beside a folder of the other split alone.
fn half_unpacked(dir: &Path) -> Option<&'static str> {
    let has_folder = |split: &str| dir.join(split).is_dir();
    let archives = [
        (TRAIN, VAL, "ILSVRC2012_img_train.tar"),
        (VAL, TRAIN, "ILSVRC2012_img_val.tar"),
    ];
    let mut half = archives.into_iter().filter(|(split, other, archive)| {
        !has_folder(split) && has_folder(other) && dir.join(archive).is_file()
    });
    half.next().map(|(_, _, archive)| archive)
}

/// Whether there are archives, and besides them neither images nor folders (but the devkit, and hidden ones).
fn is_of_archives(dir: &Path) -> Result<bool, ToolError> {
    let mut has_archives = false;
    for entry in fs::read_dir(dir).map_err(ToolError::read(dir))? {
        let path = entry.map_err(ToolError::read(dir))?.path();
        if why_hidden(name_of(&path)).is_some() || devkit::is_devkit(&path) {
            continue;
        }
        if path.is_dir() || is_image_name(name_of(&path)) {
            return Ok(false);
        }
        has_archives |= is_archive(&path);
    }
    Ok(has_archives)
}

fn archives_in(dir: &Path, skips: &mut Reasons) -> Result<Vec<PathBuf>, ToolError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(ToolError::read(dir))? {
        let path = entry.map_err(ToolError::read(dir))?.path();
        if let Some(why) = why_hidden(name_of(&path)) {
            skips.add(why, path.display());
        } else if name_of(&path).starts_with(b"ILSVRC2012_img_test") {
            skips.add(BESIDE_SPLITS, path.display());
        } else if is_archive(&path) || devkit::is_devkit(&path) {
            found.push(path);
        } else {
            skips.add(BESIDE_ARCHIVES, path.display());
        }
    }
    found.sort();
    Ok(found)
}

fn name_of(path: &Path) -> &[u8] {
    path.file_name().map(OsStr::as_bytes).unwrap_or_default()
}
