//! `--keys`: every configuration key with its default.

use super::result;
use crate::config::keys::{KEYS, Key};
use crate::failure::Failure;

/// Prints the list.
///
/// # Errors
/// When it cannot be written.
pub(super) fn run() -> Result<(), Failure> {
    let line = |key: &Key| format!("{} {} ({})\n", key.path, key.default, key.kind);
    result::print(&KEYS.iter().map(line).collect::<String>())
}
