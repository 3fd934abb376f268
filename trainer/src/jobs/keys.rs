//! `--keys`: every configuration key with its default.

use super::result;
use crate::config::keys::{KEYS, Key};
use crate::failure::Failure;

/// Prints the list.
///
/// # Errors
/// When it cannot be written.
pub(super) fn run() -> Result<(), Failure> {
    let line = |key: &Key| {
        let evaluated = key
            .in_evaluation
            .map(|value| format!("; evaluations: {value}"));
        let evaluated = evaluated.unwrap_or_default();
        format!("{} {} ({}{evaluated})\n", key.path, key.default, key.kind)
    };
    result::print(&KEYS.iter().map(line).collect::<String>())
}
