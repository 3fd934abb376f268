//! Where a daemon listens unless told otherwise. Both sides compute it alike, from the folder of the data set.

use std::fs;
use std::path::{Path, PathBuf};

/// The default socket: one per user and data set.
///
/// `$XDG_RUNTIME_DIR/sslight/<id>/loader.sock`, else `/tmp/sslight-<uid>/<id>/loader.sock`, where `<id>` is a hash of the data
/// set's canonical path, or of all paths of a set that is made of several.
pub fn default_socket(shards: &[impl AsRef<Path>]) -> PathBuf {
    let canonical = |dir: &Path| fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    let paths = shards.iter().map(|dir| canonical(dir.as_ref()));
    // No path has a zero.
    let bytes = paths.map(|path| path.into_os_string().into_encoded_bytes());
    let id = fnv1a(&bytes.collect::<Vec<_>>().join(&0));
    runtime_dir().join(format!("{id:016x}")).join("loader.sock")
}

/// The folder that holds the default sockets and nothing else.
pub(crate) fn runtime_dir() -> PathBuf {
    let named = std::env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|dir| dir.is_dir());
    match named {
        Some(dir) => dir.join("sslight"),
        None => PathBuf::from(format!(
            "/tmp/sslight-{}",
            rustix::process::geteuid().as_raw()
        )),
    }
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_data_set_has_its_own_socket() {
        assert_ne!(default_socket(&["/data/a"]), default_socket(&["/data/b"]));
        assert_eq!(default_socket(&["/data/a"]), default_socket(&["/data/a"]));
        assert_ne!(
            default_socket(&["/data/a", "/data/b"]),
            default_socket(&["/data/a"])
        );
    }
}
