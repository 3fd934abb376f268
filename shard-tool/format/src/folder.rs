//! What writers do to the folder of a set: lock it, look at what is there, write small files whole, give files their names.
//!
//! The public part is for those who change a set in place: take the lock, write every file under its partial name, then publish
//! them, with a sync of the folder before the manifest and after it.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Fault, FormatError};
use crate::manifest::{Manifest, ShardManifest};
use crate::name::{self, MANIFEST_FILE};

/// Shards without a manifest may be someone else's; they are not overwritten unasked.
pub(crate) fn check_holds_no_set(dir: &Path, ours: &[String]) -> Result<(), FormatError> {
    let is_of_a_set = |file: &str| file == MANIFEST_FILE || name::is_set_file(file);
    let found = files_where(dir, is_of_a_set)?;
    if found.iter().all(|file| ours.contains(file)) {
        return Ok(());
    }
    Err(FormatError::new(
        Fault::Exists,
        "the folder holds shards already",
        dir.display(),
        "use another folder, or let them be replaced",
    ))
}

/// What the manifest in `dir` names; nothing if there is none.
///
/// # Errors
/// [`Fault::IndexedInPlace`] if the shards were only indexed: they are someone's originals. [`Fault::UnknownSet`] if
/// that cannot be told.
pub(crate) fn files_of_old_set(dir: &Path) -> Result<Vec<String>, FormatError> {
    let path = dir.join(MANIFEST_FILE);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let manifest = Manifest::load(dir).map_err(|_| {
        FormatError::new(
            Fault::UnknownSet,
            "the manifest cannot be read, so that nobody knows whether the shards beside it may be replaced",
            path.display(),
            "move it and them away, or use another folder",
        )
    })?;
    if manifest.indexed_in_place.is_some() {
        return Err(FormatError::new(
            Fault::IndexedInPlace,
            "the shards of this set were there before it was indexed and are not removed",
            dir.display(),
            "use another folder",
        ));
    }
    let shards = manifest.splits.into_values().flat_map(|split| split.shards);
    Ok(shards
        .flat_map(|shard| [shard.file, shard.index_file])
        .collect())
}

/// Makes the folder, and those that it lies in, so that they outlast a power cut; whether it was not there before.
pub(crate) fn make(dir: &Path) -> Result<bool, FormatError> {
    let missing = missing_folders(dir);
    fs::create_dir_all(dir).map_err(FormatError::write(dir))?;
    missing.iter().try_for_each(|made| sync(parent_of(made)))?;
    Ok(!missing.is_empty())
}

/// The folder, and those that it lies in, as far as they are not there.
fn missing_folders(dir: &Path) -> Vec<&Path> {
    let named = dir.ancestors().filter(|dir| !dir.as_os_str().is_empty());
    named.take_while(|dir| !dir.exists()).collect()
}

fn parent_of(dir: &Path) -> &Path {
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Takes the folder for writing, until what is given back is dropped.
///
/// # Errors
/// [`Fault::Locked`] if another process writes there, or the system's refusal.
pub fn lock_folder(dir: &Path) -> Result<File, FormatError> {
    let folder = File::open(dir).map_err(FormatError::read(dir))?;
    match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(folder),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(FormatError::new(
            Fault::Locked,
            "another process writes into this folder",
            dir.display(),
            "wait for it, or use another folder",
        )),
        Err(errno) => Err(FormatError::write(dir)(errno.into())),
    }
}

pub(crate) fn files_where(
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

pub(crate) fn remove(path: &Path) -> Result<(), FormatError> {
    fs::remove_file(path).map_err(FormatError::write(path))
}

/// Writes and syncs a file under its partial name ([`name::partial_file`]). A failure removes it again.
///
/// # Errors
/// The system's refusal.
pub fn write_partial(dir: &Path, file: &str, bytes: &[u8]) -> Result<(), FormatError> {
    let path = dir.join(name::partial_file(file));
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|source| {
        drop(fs::remove_file(&path));
        FormatError::write(&path)(source)
    })
}

/// Gives a file its final name.
///
/// # Errors
/// The system's refusal.
pub fn publish(dir: &Path, file: &str) -> Result<(), FormatError> {
    let path = dir.join(file);
    fs::rename(dir.join(name::partial_file(file)), &path).map_err(FormatError::write(&path))
}

/// Waits until the names in the folder are on disk.
///
/// # Errors
/// The system's refusal.
pub fn sync(dir: &Path) -> Result<(), FormatError> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(FormatError::write(dir))
}

/// Whether the shard and its index are in `dir`, both under their partial or both under their final names, as they were when
/// they were closed. Its size tells the shard, its digest the index, which holds the digest of the shard.
pub(crate) fn holds_shard(dir: &Path, shard: &ShardManifest) -> bool {
    let on_disk = |file: &str| {
        let partial = dir.join(name::partial_file(file));
        if partial.exists() {
            partial
        } else {
            dir.join(file)
        }
    };
    let is_whole = fs::metadata(on_disk(&shard.file))
        .is_ok_and(|tar| tar.len() == shard.zstd_bytes.unwrap_or(shard.num_bytes));
    let index = fs::read(on_disk(&shard.index_file));
    is_whole && index.is_ok_and(|index| format!("{:016x}", xxh3_64(&index)) == shard.index_xxh3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_that_was_made_is_synced_through_the_one_it_lies_in() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let dir = folder.path().join("a/b");
        let synced: Vec<&Path> = missing_folders(&dir).into_iter().map(parent_of).collect();
        assert_eq!(synced, [&folder.path().join("a"), folder.path()]);
        assert!(make(&dir).expect("made"));
        assert!(!make(&dir).expect("was there"));
        assert_eq!(parent_of(Path::new("out")), Path::new("."));
    }
}
