//! What the file system of a folder has left.

use std::path::Path;

/// Bytes that are free where `path` is, or will be.
pub(crate) fn free_bytes(path: &Path) -> Option<u64> {
    let disk_of = |path: &Path| rustix::fs::statvfs(path).ok();
    let disk = std::path::absolute(path)
        .ok()?
        .ancestors()
        .find_map(disk_of)?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Bytes in MiB, rounded up.
pub(crate) fn mib_up(num_bytes: u64) -> u64 {
    num_bytes.div_ceil(1 << 20)
}
