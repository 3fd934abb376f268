//! The result of a job that only prints.

use crate::failure::Failure;
use crate::output;

/// Prints it on standard output.
///
/// # Errors
/// When standard output refuses it.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    output::print(text).map_err(|error| {
        Failure::Resources(format!(
            "cannot write the result: {error}; standard output; check what it is redirected to"
        ))
    })
}
