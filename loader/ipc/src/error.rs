//! What can go wrong between a subscriber and the daemon, and of what kind it is.

use std::io;
use std::path::PathBuf;

use crate::reason::{ErrorKind, Reason};

/// An error of the contract. Every message says what, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum IpcError {
    /// Nobody listens at the socket.
    #[error("no loader answers; {}; start one that serves there", .socket.display())]
    NoDaemon {
        /// The socket that was tried.
        socket: PathBuf,
    },
    /// The socket path cannot be used.
    #[error("the socket cannot be used: {what}; {}; choose another path", .socket.display())]
    BadSocket {
        /// The path.
        socket: PathBuf,
        /// Why.
        what: String,
    },
    /// Another daemon owns the socket.
    #[error("a loader already serves here: {owner}; {}; subscribe to it, stop it, or choose another socket", .socket.display())]
    SocketInUse {
        /// The path.
        socket: PathBuf,
        /// What the owner wrote into its lock: pid and data set.
        owner: String,
    },
    /// The two sides speak different versions.
    #[error(
        "protocol mismatch; this side speaks version {ours}, the peer {theirs}; use binaries of one release"
    )]
    Version {
        /// Our protocol version.
        ours: u32,
        /// The peer's.
        theirs: u32,
    },
    /// What listens there is no loader.
    #[error("the peer is not a sslight loader or subscriber: {what}; check the socket path")]
    NotAPeer {
        /// What it sent or did instead.
        what: String,
    },
    /// The daemon refused the subscription.
    #[error("{0}")]
    Refused(Reason),
    /// The daemon ended the stream on purpose.
    #[error("the loader ended the stream: {0}")]
    Stopped(Reason),
    /// The daemon is gone without a word.
    #[error(
        "the loader (pid {pid}) is gone; waiting for epoch {epoch}, step {step}; restart it, then resume"
    )]
    PeerGone {
        /// Process id of the daemon.
        pid: i32,
        /// Epoch of the batch that was waited for.
        epoch: u64,
        /// Step within the epoch of the batch that was waited for.
        step: u64,
    },
    /// Nothing came in time although the daemon lives.
    #[error(
        "no batch within {waited_ms} ms although the loader (pid {pid}) is alive; epoch {epoch}, step {step}; ask it for its status"
    )]
    TimedOut {
        /// Process id of the daemon.
        pid: i32,
        /// How long was waited, in milliseconds.
        waited_ms: u128,
        /// Epoch of the batch that was waited for.
        epoch: u64,
        /// Step within the epoch of the batch that was waited for.
        step: u64,
    },
    /// The peer wrote something into shared memory that no sound peer writes.
    #[error(
        "the peer broke the protocol: {what}; the stream is closed; report this with both versions"
    )]
    Corrupt {
        /// What was seen.
        what: String,
    },
    /// There is too little memory for the ring.
    #[error(
        "too little memory for a ring of {num_slots} slots; {whose}: {needed_mib} MiB needed, {free_mib} MiB free; use fewer slots, a smaller \
         batch or smaller views, or allow more memory (in a container, raise its memory limit; /dev/shm is not used)"
    )]
    SharedMemory {
        /// Size of the ring in MiB, rounded up.
        needed_mib: u64,
        /// What can be had, in MiB.
        free_mib: u64,
        /// Whose memory it is: the machine's, or that of a control group.
        whose: String,
        /// Slots asked for.
        num_slots: u32,
    },
    /// A geometry that no segment can have.
    #[error("impossible ring: {what}; check batch size, view sizes and number of slots")]
    BadGeometry {
        /// The rule that was broken.
        what: String,
    },
    /// No thread can be had.
    #[error(
        "cannot start a thread for {whom}: {source}; allow more processes and threads (ulimit -u; in a container, its limit of pids)"
    )]
    NoThread {
        /// Whom the thread was for.
        whom: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The operating system refused.
    #[error("{what}: {source}{}", remedy(.source))]
    Io {
        /// What was tried, and on what.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
}

impl IpcError {
    /// Of what kind it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            IpcError::Refused(reason) | IpcError::Stopped(reason) => reason.kind,
            IpcError::BadSocket { .. } | IpcError::Version { .. } | IpcError::NotAPeer { .. } => {
                ErrorKind::Usage
            }
            IpcError::BadGeometry { .. } => ErrorKind::Usage,
            IpcError::SocketInUse { .. }
            | IpcError::SharedMemory { .. }
            | IpcError::NoThread { .. }
            | IpcError::Io { .. } => ErrorKind::Resources,
            IpcError::NoDaemon { .. } | IpcError::PeerGone { .. } => ErrorKind::PeerLost,
            IpcError::TimedOut { .. } | IpcError::Corrupt { .. } => ErrorKind::PeerLost,
        }
    }

    /// The error as it travels.
    pub fn reason(&self) -> Reason {
        match self {
            IpcError::Refused(reason) | IpcError::Stopped(reason) => reason.clone(),
            other => Reason::new(other.kind(), other.to_string()),
        }
    }

    /// No thread can be had for `whom`.
    pub fn no_thread(whom: impl Into<String>) -> impl FnOnce(io::Error) -> IpcError {
        let whom = whom.into();
        move |source| IpcError::NoThread { whom, source }
    }

    /// Wraps a system error with what was tried.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> IpcError {
        let what = what.into();
        move |source| IpcError::Io { what, source }
    }
}

/// What to do about a limit that was met.
fn remedy(error: &io::Error) -> &'static str {
    use rustix::io::Errno;
    match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE) => "; allow more open files (ulimit -n)",
        Some(Errno::FBIG) => "; allow larger files (ulimit -f)",
        Some(Errno::NOMEM) => "; free some memory, or allow more (ulimit -v)",
        _ => "",
    }
}
