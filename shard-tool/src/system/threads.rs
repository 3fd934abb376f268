//! How many threads a command starts, and their start.

use std::num::NonZero;
use std::thread::{self, Builder, Scope};

use crate::error::ToolError;

/// For work that keeps a processor busy: as many as this process may use.
pub(crate) fn for_computing() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// For work that also waits for the disk: twice as many.
pub(crate) fn for_files() -> usize {
    (2 * for_computing()).clamp(2, 32)
}

/// Starts a thread of `scope`.
///
/// # Errors
/// If the system refuses one more.
pub(crate) fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() + Send + 'scope,
) -> Result<(), ToolError> {
    let started = Builder::new().spawn_scoped(scope, work);
    started.map(drop).map_err(|error| {
        ToolError::resources(
            format_args!("no thread can be started: {error}"),
            "this process",
            "let the user, or the container, have more of them (ulimit -u, --pids-limit)",
        )
    })
}
