//! The files of a set that is replaced, noted in the folder until they are gone.
//!
//! The old manifest names them, but it goes before the new one comes. Whoever is killed between the two would leave old shards
//! that nobody knows any more; the note (`.replaced.json`, a list of names) tells them to the next writer.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::error::FormatError;
use crate::folder::{self, files_of_old_set, remove, write_partial};
use crate::name;

/// Files to be removed once the new set is complete.
#[derive(Debug)]
pub(super) struct Replaced(BTreeSet<String>);

impl Replaced {
    /// The files of the set in `dir`, and those that an interrupted replacement has left.
    ///
    /// # Errors
    /// As [`files_of_old_set`], or the system's refusal to read.
    pub(super) fn find(dir: &Path) -> Result<Self, FormatError> {
        let mut files: BTreeSet<String> = files_of_old_set(dir)?.into_iter().collect();
        files.extend(noted(dir)?);
        Ok(Self(files))
    }

    /// Notes the files; from here on the old manifest may go.
    pub(super) fn note(&self, dir: &Path) -> Result<(), FormatError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let text = serde_json::to_vec(&self.0).expect("strings only");
        write_partial(dir, name::REPLACED, &text)?;
        let path = dir.join(name::hidden_file(name::REPLACED));
        fs::rename(dir.join(name::partial_file(name::REPLACED)), &path)
            .map_err(FormatError::write(&path))?;
        folder::sync(dir)
    }

    /// Removes the files that are not in the new set, then the note.
    pub(super) fn remove(&self, dir: &Path, new: &[String]) -> Result<(), FormatError> {
        let note = dir.join(name::hidden_file(name::REPLACED));
        if !note.exists() {
            return Ok(());
        }
        let old = self.0.iter().filter(|file| !new.contains(file));
        for path in old.map(|file| dir.join(file)).filter(|path| path.exists()) {
            remove(&path)?;
        }
        folder::sync(dir)?;
        remove(&note)
    }
}

/// What the note lists. It can name nothing but files of a set, whoever wrote it.
fn noted(dir: &Path) -> Result<Vec<String>, FormatError> {
    let path = dir.join(name::hidden_file(name::REPLACED));
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(FormatError::read(&path)(error)),
    };
    let files: Vec<String> = serde_json::from_slice(&text).unwrap_or_default();
    Ok(files
        .into_iter()
        .filter(|file| name::is_set_file(file))
        .collect())
}
