//! The programs `loader` and `shard-tool`, so that a wheel brings them along: each runs in a process of its own, started as
//! `python -m sslight_loader`.

use std::ffi::OsString;

use pyo3::prelude::*;

/// Runs `loader` with these arguments and returns its exit code.
#[pyfunction]
pub(crate) fn loader(py: Python<'_>, args: Vec<OsString>) -> u8 {
    py.detach(|| ::loader::program::main(named("loader", args)))
}

/// Runs `shard-tool` with these arguments; ends the process if it fails.
#[pyfunction]
pub(crate) fn shard_tool(py: Python<'_>, args: Vec<OsString>) {
    py.detach(|| ::shard_tool::main(named("shard-tool", args)));
}

fn named(name: &str, args: Vec<OsString>) -> impl Iterator<Item = OsString> {
    std::iter::once(name.into()).chain(args)
}
