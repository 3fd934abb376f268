//! What the writer does to the output folder: locks it, looks at what is there, writes small files whole.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use xxhash_rust::xxh3::xxh3_64;

use crate::manifest::{MANIFEST_FILE, Manifest, ShardManifest};
use crate::{FormatError, name};

/// Shards without a manifest may be someone else's; they are not overwritten unasked.
pub(super) fn check_holds_no_set(dir: &Path, ours: &[String]) -> Result<(), FormatError> {
    let is_of_a_set = |file: &str| file == MANIFEST_FILE || name::is_set_file(file);
    let found = files_where(dir, is_of_a_set)?;
    if found.iter().all(|file| ours.contains(file)) {
        return Ok(());
    }
    Err(FormatError::Exists {
        dir: dir.to_owned(),
    })
}

/// What the manifest in `dir` names; nothing if there is none that can be read.
pub(super) fn files_of_old_set(dir: &Path) -> Vec<String> {
    let Ok(manifest) = Manifest::load(dir) else {
        return Vec::new();
    };
    let shards = manifest.splits.into_values().flat_map(|split| split.shards);
    shards
        .flat_map(|shard| [shard.file, shard.index_file])
        .collect()
}

pub(super) fn lock_folder(dir: &Path) -> Result<File, FormatError> {
    let folder = File::open(dir).map_err(FormatError::read(dir))?;
    match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(folder),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(FormatError::Locked {
            dir: dir.to_owned(),
        }),
        Err(errno) => Err(FormatError::Write {
            path: dir.to_owned(),
            source: errno.into(),
        }),
    }
}

pub(super) fn files_where(
    dir: &Path,
    wanted: fn(&str) -> bool,
) -> Result<Vec<String>, FormatError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(FormatError::read(dir))? {
        let entry = entry.map_err(FormatError::read(dir))?;
        files.extend(
            entry
                .file_name()
                .into_string()
                .ok()
                .filter(|file| wanted(file)),
        );
    }
    Ok(files)
}

pub(super) fn remove(path: &Path) -> Result<(), FormatError> {
    fs::remove_file(path).map_err(FormatError::write(path))
}

/// Writes and syncs a file under its partial name. A failure removes it again.
pub(super) fn write_partial(dir: &Path, file: &str, bytes: &[u8]) -> Result<(), FormatError> {
    let path = dir.join(name::partial_file(file));
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|source| {
        drop(fs::remove_file(&path));
        FormatError::Write { path, source }
    })
}

/// Whether the shard and its index are in `dir`, both under their partial or both under their final names, as they were when
/// they were closed. Its size tells the shard, its digest the index, which holds the digest of the shard.
pub(super) fn holds_shard(dir: &Path, shard: &ShardManifest) -> bool {
    let on_disk = |file: &str| {
        let partial = dir.join(name::partial_file(file));
        if partial.exists() {
            partial
        } else {
            dir.join(file)
        }
    };
    let is_whole = fs::metadata(on_disk(&shard.file)).is_ok_and(|tar| tar.len() == shard.num_bytes);
    let index = fs::read(on_disk(&shard.index_file));
    is_whole && index.is_ok_and(|index| format!("{:016x}", xxh3_64(&index)) == shard.index_xxh3)
}
