//! Digests, as the manifest has them.

use shard_format::MappedFile;
use xxhash_rust::xxh3::Xxh3;

use crate::system::drop_behind::{DropBehind, STEP_BYTES};

/// XXH3-64 of the tar, a step at a time.
pub(super) fn of_tar(tar: &MappedFile) -> u64 {
    let (mut digest, mut passed) = (Xxh3::new(), DropBehind::new(tar));
    for start in (0..tar.len()).step_by(STEP_BYTES) {
        let step = start..tar.len().min(start + STEP_BYTES);
        digest.update(&tar[step.clone()]);
        passed.read(step);
    }
    digest.digest()
}

/// A digest as the manifest writes it.
pub(super) fn hex(digest: u64) -> String {
    format!("{digest:016x}")
}
