//! What must be left before two processes can meet: bytes in a socket's address, and descriptors.
//!
//! ipc-channel cuts addresses off and panics where descriptors run out, so both are checked before it is called.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use crate::error::IpcError;

/// Longest path that a Unix socket's address holds, bytes (108 with the closing zero).
pub const MAX_SOCKET_PATH: usize = 107;
/// What ipc-channel adds to the folder that holds its sockets.
const CHANNEL_NAME: usize = "/.tmpXXXXXX/socket".len();
/// Descriptors that a subscription takes on either side, with some for those that come at the same time.
const NUM_DESCRIPTORS: usize = 16;

/// Refuses a path that no socket can have.
pub(crate) fn check_socket_path(path: &Path) -> Result<(), IpcError> {
    let len = path.as_os_str().len();
    if len <= MAX_SOCKET_PATH {
        return Ok(());
    }
    Err(IpcError::BadSocket {
        socket: path.to_owned(),
        what: format!("its path has {len} bytes, and the system allows {MAX_SOCKET_PATH}"),
    })
}

/// Refuses a folder that is not there, or in which the sockets of channels would have paths that no socket can have.
pub(crate) fn check_channel_folder(folder: &Path) -> Result<(), IpcError> {
    let (len, most) = (folder.as_os_str().len(), MAX_SOCKET_PATH - CHANNEL_NAME);
    let what = if !folder.is_dir() {
        "the folder for the channels' sockets does not exist".to_owned()
    } else if len > most {
        format!(
            "its folder has {len} bytes, and {most} are possible: the system allows {MAX_SOCKET_PATH}, and the channels' sockets in it have {CHANNEL_NAME} more"
        )
    } else {
        return Ok(());
    };
    Err(IpcError::BadSocket {
        socket: folder.to_owned(),
        what,
    })
}

/// Fails if fewer descriptors are left than a subscription takes; `some` is any that is open.
pub(crate) fn check_descriptors(some: impl AsFd) -> Result<(), IpcError> {
    let copy = |_| some.as_fd().try_clone_to_owned();
    let copies: Result<Vec<OwnedFd>, _> = (0..NUM_DESCRIPTORS).map(copy).collect();
    copies.map(drop).map_err(IpcError::io(
        "too few descriptors are left for a subscription",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_path_is_that_which_the_system_binds() {
        let dir = tempfile::tempdir().unwrap();
        for len in [106, 107, 108, 109] {
            let path = dir
                .path()
                .join("x".repeat(len - dir.path().as_os_str().len() - 1));
            let bound = std::os::unix::net::UnixListener::bind(&path);
            assert_eq!(check_socket_path(&path).is_ok(), bound.is_ok(), "{len}");
        }
    }

    #[test]
    fn a_folder_that_is_missing_or_too_long_is_named_with_its_length_and_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let of_len = |len: usize| {
            dir.path()
                .join("x".repeat(len - dir.path().as_os_str().len() - 1))
        };
        let missing = check_channel_folder(&of_len(20)).unwrap_err().to_string();
        assert!(missing.contains(dir.path().to_str().unwrap()), "{missing}");
        for len in [89, 90] {
            std::fs::create_dir(of_len(len)).unwrap();
        }
        assert!(check_channel_folder(&of_len(89)).is_ok());
        let long = check_channel_folder(&of_len(90)).unwrap_err().to_string();
        assert!(long.contains("90 bytes, and 89 are possible"), "{long}");
    }
}
