//! Where the set goes, and that it does not lie inside of its source.

use std::fs;
use std::path::{Path, PathBuf};

use super::options::PackOptions;
use crate::error::ToolError;
use crate::source::missing;

/// `--out`, else `SRC-shards` beside SRC.
pub(super) fn output(options: &PackOptions) -> Result<PathBuf, ToolError> {
    match (&options.out, options.src.as_slice()) {
        (Some(out), _) => Ok(out.clone()),
        (None, [src]) if src.as_os_str() != "-" => beside(src),
        (None, sources) => Err(no_default(&sources[0])),
    }
}

fn beside(src: &Path) -> Result<PathBuf, ToolError> {
    // `.` and `..` have no name of their own.
    let named = match src.file_stem() {
        Some(_) => src.to_owned(),
        None => fs::canonicalize(src).map_err(|_| missing(src))?,
    };
    let name = if named.is_dir() {
        named.file_name()
    } else {
        named.file_stem()
    };
    let mut name = name.ok_or_else(|| no_default(src))?.to_owned();
    name.push("-shards");
    Ok(named.with_file_name(name))
}

fn no_default(src: &Path) -> ToolError {
    let what = "the default output folder has no name beside the source";
    ToolError::usage(what, src.display(), "give --out DIR")
}

/// Where a stream is kept: on the disk of the output.
pub(super) fn spool_dir(out: &Path) -> &Path {
    let is_folder = |dir: &&Path| dir.is_dir();
    let named = out.ancestors().filter(|dir| !dir.as_os_str().is_empty());
    named.into_iter().find(is_folder).unwrap_or(Path::new("."))
}

pub(super) fn check(options: &PackOptions, out: &Path) -> Result<(), ToolError> {
    if out.symlink_metadata().is_ok() && !out.is_dir() {
        let what = "the output is no folder";
        return Err(ToolError::usage(what, out.display(), "use another --out"));
    }
    if options.list && options.src.iter().any(|src| src.as_os_str() == "-") {
        return Err(ToolError::usage(
            "a list is a file",
            "standard input (`-`)",
            "write the list into a file, since paths in it are relative to its folder",
        ));
    }
    let out_resolved = resolved(out)?;
    for src in options.src.iter().filter(|src| src.as_os_str() != "-") {
        let found = fs::canonicalize(src).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => missing(src),
            _ => ToolError::read(src)(error),
        })?;
        if out_resolved.starts_with(found) {
            let what = "the output folder lies inside the source";
            return Err(ToolError::usage(what, out.display(), "give another --out"));
        }
    }
    Ok(())
}

/// The path without links, of which the last parts may not exist yet.
fn resolved(path: &Path) -> Result<PathBuf, ToolError> {
    let whole = std::path::absolute(path).map_err(ToolError::read(path))?;
    for ancestor in whole.ancestors() {
        if let Ok(existing) = fs::canonicalize(ancestor) {
            let rest = whole
                .strip_prefix(ancestor)
                .expect("an ancestor is a prefix");
            return Ok(existing.join(rest));
        }
    }
    Ok(whole)
}
