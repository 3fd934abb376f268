//! `--check`: the configuration as it would be run.

use super::result;
use crate::config::{RawConfig, Resolved, resolve};
use crate::failure::Failure;

/// Prints notes, every key with its value, and the verdict.
///
/// # Errors
/// When a rule between keys is broken, or the result cannot be written.
pub(super) fn run(raw: &RawConfig) -> Result<(), Failure> {
    let resolved = resolve(raw)?;
    let notes = raw.notes().into_iter();
    let notes = notes.map(|note| format!("note: {note}\n"));
    let lines = raw.lines().into_iter();
    let lines = lines.map(|(key, value)| format!("{key} {value}\n"));
    let verdict = match resolved {
        Resolved::Runnable(_) => String::new(),
        Resolved::Unavailable(what) => format!(
            "; running it is not available in this version: {}",
            what.join(", ")
        ),
    };
    let verdict = format!("check: the configuration is sound{verdict}\n");
    result::print(&notes.chain(lines).chain([verdict]).collect::<String>())
}
