//! Where the daemon listens: a 0600 socket in a 0700 folder, owned through a lock that dies with its process.
//!
//! The lock file beside the socket (`PATH.lock`) is held with `flock`, so a killed daemon leaves nothing that blocks the next
//! one: whoever gets the lock removes the stale socket.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipc_channel::ipc::{self, IpcReceiver, IpcSender};
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::default_socket::runtime_dir;
use crate::error::IpcError;
use crate::handshake;
use crate::limits;
use crate::liveness;
use crate::message::{Reply, Request};
use crate::publisher::Publisher;
use crate::reason::Reason;

/// A bound socket; dropping it unlinks socket and lock.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    path: PathBuf,
    lock_path: PathBuf,
    removed_stale: bool,
    // As long as it is held nobody else removes our socket.
    _lock: File,
    _folders: Folders,
}

/// The folders that a daemon has made for its socket; dropping them removes those that are empty, hence none that another uses.
#[derive(Debug)]
struct Folders(Vec<PathBuf>);

/// A subscriber that has shaken hands.
#[derive(Debug)]
pub struct Connection {
    stream: Arc<UnixStream>,
    replies: IpcSender<Reply>,
    requests: IpcReceiver<Request>,
    pid: i32,
}

/// Ends one connection, and the stream on it.
#[derive(Debug)]
pub struct Closer {
    stream: Arc<UnixStream>,
    replies: IpcSender<Reply>,
}

/// The file that a daemon locks as long as it owns this socket.
pub fn lock_of(socket: &Path) -> PathBuf {
    let mut lock = socket.as_os_str().to_owned();
    lock.push(".lock");
    lock.into()
}

impl Listener {
    /// Binds `path`, creating its folder (0700) where it is missing. `owner` is what a second daemon is told about this one.
    ///
    /// # Errors
    /// [`IpcError::SocketInUse`] when a live daemon owns the path.
    pub fn bind(path: &Path, owner: &str) -> Result<Listener, IpcError> {
        let path = std::path::absolute(path)
            .map_err(IpcError::io(format!("bad path {}", path.display())))?;
        limits::check_socket_path(&path)?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        let folders = Folders::make(folder).map_err(|error| bad_socket(&path, error))?;
        limits::check_channel_folder(folder)?;
        let lock_path = lock_of(&path);
        let lock = lock(&path, &lock_path, owner)?;
        let removed_stale = remove_stale(&path)?;
        let socket = UnixListener::bind(&path).map_err(|error| bad_socket(&path, error))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
            .map_err(|error| bad_socket(&path, error))?;
        limits::check_descriptors(&socket)?;
        try_channel().map_err(IpcError::io("cannot open a control channel"))?;
        Ok(Listener {
            socket,
            path,
            lock_path,
            removed_stale,
            _lock: lock,
            _folders: folders,
        })
    }

    /// Makes ipc-channel put its one-shot sockets beside ours, in the private folder, rather than into `$TMPDIR`, which may be
    /// too long a path or another container's. Process-wide, hence a daemon's choice and not part of [`Listener::bind`].
    pub fn host_channels(&self) {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        // Only the first choice of a process counts, and a process has one daemon.
        let _ = tempfile::env::override_temp_dir(folder);
    }

    /// True when a dead daemon's socket was in the way.
    pub fn removed_stale(&self) -> bool {
        self.removed_stale
    }

    /// Waits for the next subscriber to connect. [`Listener::greet`] then shakes hands, on whatever thread.
    ///
    /// # Errors
    /// When the socket is shut down, or descriptors run out; a subscriber for whom there are not enough is told so.
    pub fn accept(&self) -> Result<UnixStream, IpcError> {
        let (stream, _) = self
            .socket
            .accept()
            .map_err(IpcError::io("cannot accept a subscriber"))?;
        match limits::check_descriptors(&stream) {
            Ok(()) => Ok(stream),
            Err(error) => {
                handshake::turn_away(stream, &error);
                Err(error)
            }
        }
    }

    /// Tells a connected subscriber why it cannot be served, and hangs up.
    pub fn turn_away(stream: UnixStream, error: &IpcError) {
        handshake::turn_away(stream, error);
    }

    /// Makes a waiting [`Listener::accept`] and every later one fail. Takes no descriptor, so it works when there is none left.
    pub fn shut(&self) {
        // A socket that listens can always be shut down.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
    }

    /// Shakes hands with a connected subscriber of the same user.
    ///
    /// # Errors
    /// When the peer is another user, speaks another version, or does not speak at all.
    pub fn greet(mut stream: UnixStream) -> Result<Connection, IpcError> {
        let (uid, ours) = (
            liveness::peer_uid(&stream)?,
            rustix::process::geteuid().as_raw(),
        );
        if uid != ours && uid != 0 {
            return Err(IpcError::NotAPeer {
                what: format!("it belongs to user {uid}, not {ours}"),
            });
        }
        let pid = liveness::peer_pid(&stream)?;
        let (replies, requests) = handshake::accept(&mut stream)?;
        Ok(Connection {
            stream: Arc::new(stream),
            replies,
            requests,
            pid,
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Nothing can be done about a failure here, and the next daemon cleans up.
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(&self.lock_path);
    }
}

impl Connection {
    /// Process id of the subscriber.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Waits for the next request; `None` once the subscriber is gone.
    pub fn next_request(&self) -> Option<Request> {
        self.requests.recv().ok()
    }

    /// Sends an answer; `false` when the subscriber is gone.
    pub fn reply(&self, reply: Reply) -> bool {
        self.replies.send(reply).is_ok()
    }

    /// Passes the ring of a stream that was just promised.
    ///
    /// # Errors
    /// When the subscriber is gone or descriptors run out.
    pub fn send_ring(&self, publisher: &Publisher) -> Result<(), IpcError> {
        handshake::send_descriptors(&self.stream, &publisher.descriptors()?)
    }

    /// A handle that ends the connection from another thread. It takes no descriptor, and keeps the socket open.
    pub fn closer(&self) -> Closer {
        Closer {
            stream: Arc::clone(&self.stream),
            replies: self.replies.clone(),
        }
    }
}

impl Closer {
    /// Tells the subscriber why, then hangs up: in this order, so that whoever sees the end of the socket finds the reason.
    pub fn close(&self, reason: Reason) {
        // It may be gone already, which is as good.
        let _ = self.replies.send(Reply::Closed(reason));
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

impl Folders {
    /// Makes `folder` where it is missing. Those of [`default_socket`](crate::default_socket) count as made: they are for sockets alone,
    /// and may be left of a daemon that was killed.
    fn make(folder: &Path) -> std::io::Result<Folders> {
        let own = runtime_dir();
        let made = folder.ancestors();
        let made = made.take_while(|dir| !dir.is_dir() || dir.starts_with(&own));
        let made = Folders(made.map(Path::to_owned).collect());
        create_private(folder)?;
        Ok(made)
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        // From the inside out; one that is not empty stays, and those around it.
        let _ = self.0.iter().try_for_each(fs::remove_dir);
    }
}

fn create_private(folder: &Path) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// What is wrong with the path; but no path is better when descriptors run out.
fn bad_socket(path: &Path, error: std::io::Error) -> IpcError {
    match Errno::from_io_error(&error) {
        Some(Errno::MFILE | Errno::NFILE) => {
            IpcError::io(format!("cannot listen at {}", path.display()))(error)
        }
        _ => IpcError::BadSocket {
            socket: path.to_owned(),
            what: error.to_string(),
        },
    }
}

/// ipc-channel measures a socket when it is first used, and is of no more use if that fails. So it is used once while there are descriptors.
fn try_channel() -> std::io::Result<()> {
    let (sender, _receiver) = ipc::channel::<()>()?;
    sender.send(()).map_err(std::io::Error::other)
}

fn lock(path: &Path, lock_path: &Path, owner: &str) -> Result<File, IpcError> {
    loop {
        let mut file = open_lock(lock_path).map_err(|error| bad_socket(path, error))?;
        let locked = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
        if locked == Err(Errno::WOULDBLOCK) {
            let mut owner = String::new();
            let _ = file.read_to_string(&mut owner);
            return Err(IpcError::SocketInUse {
                socket: path.to_owned(),
                owner: owner.trim().to_owned(),
            });
        }
        locked.map_err(|errno| bad_socket(path, errno.into()))?;
        if is_current(&file, lock_path) {
            write_owner(&mut file, owner).map_err(|error| bad_socket(path, error))?;
            return Ok(file);
        }
    }
}

fn open_lock(lock_path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.mode(0o600);
    options.open(lock_path).or_else(|error| {
        if error.kind() != std::io::ErrorKind::NotFound {
            return Err(error);
        }
        // The owner that was just leaving has removed its folder.
        create_private(lock_path.parent().unwrap_or(Path::new("/")))?;
        options.open(lock_path)
    })
}

/// False when the file we locked was unlinked by an owner that was just leaving.
fn is_current(file: &File, lock_path: &Path) -> bool {
    let (Ok(ours), Ok(there)) = (file.metadata(), fs::metadata(lock_path)) else {
        return false;
    };
    (ours.dev(), ours.ino()) == (there.dev(), there.ino())
}

fn write_owner(file: &mut File, owner: &str) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{owner}")
}

fn remove_stale(path: &Path) -> Result<bool, IpcError> {
    use std::os::unix::fs::FileTypeExt;
    match fs::symlink_metadata(path) {
        Err(_) => Ok(false),
        Ok(meta) if meta.file_type().is_socket() => fs::remove_file(path)
            .map(|()| true)
            .map_err(|error| bad_socket(path, error)),
        Ok(_) => Err(IpcError::BadSocket {
            socket: path.to_owned(),
            what: "a file that is no socket stands there".into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::ErrorKind;
    use crate::subscriber::Client;
    use std::time::Duration;

    #[test]
    fn a_second_daemon_is_told_who_the_first_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/loader.sock");
        let first = Listener::bind(&path, "pid 42 serving /data").unwrap();
        let error = Listener::bind(&path, "pid 43").unwrap_err();
        assert!(
            matches!(&error, IpcError::SocketInUse { owner, .. } if owner.contains("pid 42")),
            "{error}"
        );
        assert_eq!(error.kind(), ErrorKind::Resources);
        drop(first);
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            0,
            "everything that was made is removed"
        );
        Listener::bind(&path, "pid 43").unwrap();
    }

    #[test]
    fn folders_that_were_there_or_that_another_daemon_uses_stay() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        let first = Listener::bind(&at("made/a/loader.sock"), "pid 1").unwrap();
        let second = Listener::bind(&at("made/b/loader.sock"), "pid 2").unwrap();
        drop(first);
        assert!(!at("made/a").exists() && at("made/b/loader.sock").exists());
        drop(second);
        // The second did not make it, and the first found it in use.
        assert_eq!(fs::read_dir(at("made")).unwrap().count(), 0);
        drop(Listener::bind(&at("loader.sock"), "pid 3").unwrap());
        assert!(dir.path().exists());
    }

    #[test]
    fn a_dead_daemons_socket_is_replaced_and_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("loader.sock");
        drop(UnixListener::bind(&path).unwrap());
        let listener = Listener::bind(&path, "pid 1").unwrap();
        assert!(listener.removed_stale());
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("precious.txt");
        fs::write(&path, "thesis").unwrap();
        assert!(matches!(
            Listener::bind(&path, "pid 1"),
            Err(IpcError::BadSocket { .. })
        ));
        assert_eq!(fs::read_to_string(&path).unwrap(), "thesis");
    }

    #[test]
    fn a_path_too_long_for_a_socket_is_an_error_that_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x".repeat(120));
        let error = Listener::bind(&path, "pid 1").unwrap_err();
        let told = error.to_string();
        let len = format!("{} bytes", path.as_os_str().len());
        for words in [path.to_str().unwrap(), &len, "107"] {
            assert!(told.contains(words), "{words}: {told}");
        }
        assert!(
            Client::connect(&path, Duration::from_secs(1))
                .unwrap_err()
                .to_string()
                .contains(&len)
        );
    }
}
