//! The socket of a loader of our own: right in the folder for temporary files, under a name that nobody can
//! guess.
//!
//! It has no folder, so nothing is left once the loader has removed socket and lock, which it does when it ends, and it ends
//! when we do, however that is. Where the loader was killed we remove both. Where both were killed at once the next run
//! does.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use loader_ipc::{MAX_SOCKET_PATH, lock_of};
use rustix::fs::{FlockOperation, flock};
use tempfile::TempPath;

use crate::failure::Failure;

const PREFIX: &str = "sslight-";
const SUFFIX: &str = ".sock";
const NUM_RANDOM: usize = 10;
/// A socket without a lock that is older than this has no loader; a younger one may be about to have it.
const STARTING: Duration = Duration::from_secs(60);

/// Removed, with its lock, when this is dropped.
#[derive(Debug)]
pub struct OwnSocket {
    path: TempPath,
}

impl OwnSocket {
    /// Chooses a path in `folder`, that for temporary files.
    ///
    /// # Errors
    /// When there is no such folder, or its path leaves no room for a socket's name.
    pub fn choose(folder: &Path) -> Result<OwnSocket, Failure> {
        let refused = |what: String| {
            let folder = folder.display();
            Failure::Usage(format!(
                "{what}; TMPDIR {folder}; set TMPDIR to another folder"
            ))
        };
        if !folder.is_dir() {
            return Err(refused(
                "the folder for temporary files is missing".to_owned(),
            ));
        }
        let folder = std::path::absolute(folder).map_err(Failure::io("finding TMPDIR", folder))?;
        let room = MAX_SOCKET_PATH - (1 + PREFIX.len() + NUM_RANDOM + SUFFIX.len());
        let len = folder.as_os_str().len();
        if len > room {
            return Err(refused(format!(
                "the folder for temporary files has a path of {len} bytes, and only {room} leave room for a socket's name"
            )));
        }
        let is_free = |path: &Path| match path.exists() {
            true => Err(io::ErrorKind::AlreadyExists.into()),
            false => Ok(()),
        };
        let mut name = tempfile::Builder::new();
        let name = name.prefix(PREFIX).suffix(SUFFIX).rand_bytes(NUM_RANDOM);
        let chosen = name.make_in(&folder, is_free);
        let chosen = chosen.map_err(Failure::io("choosing a socket", &folder))?;
        Ok(OwnSocket {
            path: chosen.into_temp_path(),
        })
    }

    /// The socket.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for OwnSocket {
    fn drop(&mut self) {
        // Both are gone already unless the loader was killed.
        let _ = fs::remove_file(lock_of(&self.path));
    }
}

/// Removes what is left in `folder` of loaders that were killed together with their trainers; returns how many.
pub fn sweep(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let dead = paths.filter(|path| is_named_so(path) && is_dead(path));
    let removed = dead.filter(|path| {
        let _ = fs::remove_file(lock_of(path));
        fs::remove_file(path).is_ok()
    });
    removed.count()
}

fn is_named_so(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX))
}

fn is_dead(path: &Path) -> bool {
    let age = fs::symlink_metadata(path)
        .and_then(|meta| meta.modified())
        .ok()
        .and_then(|modified| modified.elapsed().ok());
    age.is_some_and(|age| age > STARTING) && !is_locked(&lock_of(path))
}

/// Whether a loader lives: the lock ends with its process.
fn is_locked(lock: &Path) -> bool {
    match File::open(lock) {
        Ok(file) => flock(&file, FlockOperation::NonBlockingLockShared).is_err(),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

    use super::*;

    fn make_old(path: &Path) {
        let long_ago = Timespec {
            tv_sec: 1_000_000_000,
            tv_nsec: 0,
        };
        let times = Timestamps {
            last_access: long_ago,
            last_modification: long_ago,
        };
        utimensat(CWD, path, &times, AtFlags::empty()).unwrap();
    }

    #[test]
    fn a_missing_folder_and_one_whose_path_is_too_long_are_named() {
        let dir = tempfile::tempdir().unwrap();
        for (name, word) in [
            ("missing".to_owned(), "is missing"),
            ("x".repeat(100), "bytes"),
        ] {
            let folder = dir.path().join(name);
            if word == "bytes" {
                fs::create_dir(&folder).unwrap();
            }
            let error = OwnSocket::choose(&folder).unwrap_err();
            let shown = error.to_string();
            assert_eq!(error.exit_code(), 2);
            assert!(
                shown.contains(word) && shown.contains(folder.to_str().unwrap()),
                "{shown}"
            );
        }
    }

    #[test]
    fn the_longest_folder_that_is_taken_has_room_for_the_socket() {
        let dir = tempfile::tempdir().unwrap();
        let mut longest = 0;
        for len in 1..107 - dir.path().as_os_str().len() {
            let folder = dir.path().join("x".repeat(len));
            fs::create_dir(&folder).unwrap();
            if let Ok(socket) = OwnSocket::choose(&folder) {
                drop(UnixListener::bind(socket.path()).unwrap());
                longest = folder.as_os_str().len();
            }
        }
        assert!(longest >= 80, "{longest}");
    }

    #[test]
    fn a_dropped_socket_is_gone_with_its_lock() {
        let dir = tempfile::tempdir().unwrap();
        let socket = OwnSocket::choose(dir.path()).unwrap();
        drop(UnixListener::bind(socket.path()).unwrap());
        fs::write(lock_of(socket.path()), "pid 1").unwrap();
        drop(socket);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn only_old_sockets_without_a_loader_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let (dead, young, live) = (
            at("sslight-a.sock"),
            at("sslight-b.sock"),
            at("sslight-c.sock"),
        );
        drop(UnixListener::bind(&dead).unwrap());
        drop(UnixListener::bind(&young).unwrap());
        let listener = UnixListener::bind(&live).unwrap();
        let lock = File::create(lock_of(&live)).unwrap();
        flock(&lock, FlockOperation::LockExclusive).unwrap();
        let other = at("other.sock");
        drop(UnixListener::bind(&other).unwrap());
        for path in [&dead, &live, &other] {
            make_old(path);
        }
        assert_eq!(sweep(dir.path()), 1);
        assert!(!dead.exists() && young.exists() && live.exists() && other.exists());
        drop(listener);
    }
}
