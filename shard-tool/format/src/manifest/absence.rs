//! The text of a manifest, or why there is none: what to do depends on what else is in the folder.

use std::fs;
use std::io;
use std::path::Path;

use crate::error::{Fault, FormatError};
use crate::name::MANIFEST_FILE;

/// What is in the manifest of the set in `dir`, or why there is none.
pub(super) fn text_of(dir: &Path) -> Result<Vec<u8>, FormatError> {
    let path = dir.join(MANIFEST_FILE);
    match fs::read(&path) {
        Ok(text) => Ok(text),
        Err(source) if is_absent(&source) => Err(explain_absence(dir)),
        Err(error) => Err(FormatError::read(&path)(error)),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Why there is no manifest in `dir`.
fn explain_absence(dir: &Path) -> FormatError {
    let (fault, what, remedy) = if !dir.exists() {
        let what = "the folder does not exist";
        (Fault::NoSet, what, "check the path")
    } else if !dir.is_dir() {
        let remedy = "give the folder that holds manifest.json";
        (Fault::NoSet, "this is not a folder", remedy)
    } else if holds_images(dir, 3, &mut 5_000) {
        let what = "the folder holds images that are not packed";
        (Fault::NotPacked, what, "pack it")
    } else if holds_tars(dir) {
        let what = "the folder holds tars without a manifest.json";
        let remedy = "index them, with the range of their numbers";
        (Fault::NotIndexed, what, remedy)
    } else {
        let what = "there is no manifest.json and no image";
        let remedy = "give the folder of a packed set, or pack one";
        (Fault::NoSet, what, remedy)
    };
    FormatError::new(fault, what, dir.display(), remedy)
}

/// Looks for a file named like an image, at most `depth` folders down and `budget` names in all.
fn holds_images(dir: &Path, depth: u32, budget: &mut u32) -> bool {
    let Ok(entries) = fs::read_dir(dir) else {
        return false;
    };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if *budget == 0 {
            return false;
        }
        *budget -= 1;
        if is_named_like_an_image(&path) {
            return true;
        }
        if depth > 0 && path.is_dir() && holds_images(&path, depth - 1, budget) {
            return true;
        }
    }
    false
}

fn holds_tars(dir: &Path) -> bool {
    let Ok(mut entries) = fs::read_dir(dir) else {
        return false;
    };
    let is_tar = |path: &Path| path.extension().is_some_and(|extension| extension == "tar");
    entries.any(|entry| entry.is_ok_and(|entry| is_tar(&entry.path())))
}

fn is_named_like_an_image(path: &Path) -> bool {
    let extension = path
        .extension()
        .map(|extension| extension.to_ascii_lowercase());
    extension.is_some_and(|extension| {
        ["jpg", "jpeg", "png"]
            .iter()
            .any(|known| extension == *known)
    })
}
