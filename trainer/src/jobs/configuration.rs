//! From the command line to a configuration.

use crate::cli::ConfigArgs;
use crate::config::{RawConfig, Resolved, Settings, resolve};
use crate::failure::Failure;

/// The file with the pairs that override it.
///
/// # Errors
/// When the file cannot be read, or it or a pair is wrong.
pub(super) fn read(args: &ConfigArgs) -> Result<RawConfig, Failure> {
    let path = args.cfg.as_ref().ok_or_else(|| {
        Failure::Usage(
            "there is no configuration; command line; give a YAML file with --cfg".to_owned(),
        )
    })?;
    let shown = args.shown();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::Usage(format!(
            "cannot read the configuration: {error}; {shown}; give a YAML file with --cfg"
        ))
    })?;
    Ok(RawConfig::parse(&shown, &text, &args.pairs)?)
}

/// Its settings, if this version can run them.
///
/// # Errors
/// When a rule between keys is broken, or something is asked for that this version does not do.
pub(super) fn runnable(raw: &RawConfig, args: &ConfigArgs) -> Result<Settings, Failure> {
    match resolve(raw)? {
        Resolved::Runnable(settings) => Ok(*settings),
        Resolved::Unavailable(what) => Err(Failure::Usage(format!(
            "not available in this version: {}; {}; this version trains in one process",
            what.join(", "),
            args.shown()
        ))),
    }
}
