//! The folders of a data set, as far as can be told without reading them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::AttachError;

/// The file that makes a folder a packed one.
const MANIFEST: &str = "manifest.json";

/// A folder that is there and packed.
pub(crate) fn check_packed(dir: &Path) -> Result<(), AttachError> {
    let dir_buf = || dir.to_owned();
    match (dir.is_dir(), dir.join(MANIFEST).is_file()) {
        (false, _) => Err(AttachError::NoFolder { dir: dir_buf() }),
        (_, false) => Err(AttachError::NotPacked { dir: dir_buf() }),
        _ => Ok(()),
    }
}

/// Whether both name the same folders in the same order.
pub(crate) fn are_same(served: &[String], wanted: &[PathBuf]) -> bool {
    let mut pairs = served.iter().zip(wanted);
    served.len() == wanted.len() && pairs.all(|(one, other)| is_same(Path::new(one), other))
}

fn is_same(one: &Path, other: &Path) -> bool {
    match (fs::canonicalize(one), fs::canonicalize(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}
