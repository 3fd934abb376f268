//! Which libtorch there is. Part of the library, and of the binary `trainer`, which starts where there is none: so nothing here may need it.

use std::fs;
use std::path::Path;

/// The version that tch was written for: `2.11`.
pub(crate) const WANTED: &str = env!("TRAINER_LIBTORCH_VERSION");
/// The folder of libtorch that the trainer was linked with: where it is looked for at last.
pub(crate) const BUILT_WITH: &str = env!("TRAINER_LIBTORCH");
/// The part that computes on a CPU, which all others need.
pub(crate) const CPU_HALF: &str = "libtorch_cpu.so";

/// What a folder of libtorch says its version is, `2.11.0+cpu`: the one of a Python package in a module, that of an archive for C++ in a line.
pub(crate) fn version(torch: &Path) -> Option<String> {
    let module = fs::read_to_string(torch.join("version.py")).unwrap_or_default();
    let line = module.lines().find(|line| line.starts_with("__version__"));
    let value = line.and_then(|line| line.split('\'').nth(1));
    let archive = || fs::read_to_string(torch.join("build-version")).ok();
    value
        .map(str::to_owned)
        .or_else(|| Some(archive()?.trim().to_owned()))
}

/// Whether this is a release of the wanted version.
pub(crate) fn is_wanted(version: &str) -> bool {
    let rest = version.strip_prefix(WANTED);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
