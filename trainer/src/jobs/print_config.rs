//! `--print-config`: every value and where it comes from.

use super::result;
use crate::config::RawConfig;
use crate::failure::Failure;

/// Prints a line per key; the rules between keys are `--check`'s.
///
/// # Errors
/// When it cannot be written.
pub(super) fn run(raw: &RawConfig) -> Result<(), Failure> {
    let lines = raw.lines().into_iter();
    let lines = lines.map(|(key, value)| format!("{key} {value}  # {}\n", raw.origin(key)));
    result::print(&lines.collect::<String>())
}
