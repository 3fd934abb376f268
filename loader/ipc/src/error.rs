//! What can go wrong between a subscriber and the daemon, and of what kind it is.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::reason::{ErrorKind, Reason};

/// An error of the contract. Its [`reason`](IpcError::reason) says what, where, and what to do.
#[derive(Debug)]
pub enum IpcError {
    /// Nobody listens at the socket.
    NoDaemon {
        /// The socket that was tried.
        socket: PathBuf,
    },
    /// The socket path cannot be used.
    BadSocket {
        /// The path.
        socket: PathBuf,
        /// Why.
        what: String,
    },
    /// Another daemon owns the socket.
    SocketInUse {
        /// The path.
        socket: PathBuf,
        /// What the owner wrote into its lock: pid and data set.
        owner: String,
    },
    /// The two sides speak different versions.
    Version {
        /// Our protocol version.
        ours: u32,
        /// The peer's.
        theirs: u32,
        /// Process id of the peer.
        pid: i32,
    },
    /// What listens there is no loader.
    NotAPeer {
        /// What it sent or did instead.
        what: String,
    },
    /// The peer hung up before it answered; one that is just ending, or was killed, does.
    HungUp {
        /// What was said last.
        what: String,
    },
    /// The daemon refused the subscription.
    Refused(Reason),
    /// The daemon ended the stream on purpose.
    Stopped(Reason),
    /// The daemon is gone without a word.
    PeerGone {
        /// Process id of the daemon.
        pid: i32,
        /// Epoch of the batch that was waited for.
        epoch: u64,
        /// Step within the epoch of the batch that was waited for.
        step: u64,
    },
    /// Nothing came in time although the daemon lives.
    TimedOut {
        /// Process id of the daemon.
        pid: i32,
        /// How long was waited, in milliseconds.
        waited_ms: u128,
        /// Epoch of the batch that was waited for.
        epoch: u64,
        /// Step within the epoch of the batch that was waited for.
        step: u64,
        /// Whether its slot still holds an earlier batch, which its receiver has not given back.
        is_held: bool,
    },
    /// A stream is used by another process than that which subscribed.
    Forked {
        /// Process id of the one that subscribed.
        pid: u32,
    },
    /// The peer wrote something into shared memory that no sound peer writes.
    Corrupt {
        /// What was seen.
        what: String,
    },
    /// There is too little memory for the ring.
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
    BadGeometry {
        /// The rule that was broken.
        what: String,
    },
    /// No thread can be had.
    NoThread {
        /// Whom the thread was for.
        whom: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The operating system refused.
    Io {
        /// What was tried, and on what.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
}

impl IpcError {
    /// The same error after a wait that was made in pieces, of which this one was the last.
    pub fn having_waited(self, whole: Duration) -> IpcError {
        match self {
            IpcError::TimedOut {
                pid,
                epoch,
                step,
                is_held,
                ..
            } => IpcError::TimedOut {
                pid,
                waited_ms: whole.as_millis(),
                epoch,
                step,
                is_held,
            },
            other => other,
        }
    }

    /// Of what kind it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            IpcError::Refused(reason) | IpcError::Stopped(reason) => reason.kind,
            IpcError::BadSocket { .. } | IpcError::Version { .. } | IpcError::NotAPeer { .. } => {
                ErrorKind::Usage
            }
            IpcError::BadGeometry { .. } | IpcError::Forked { .. } => ErrorKind::Usage,
            IpcError::SocketInUse { .. }
            | IpcError::SharedMemory { .. }
            | IpcError::NoThread { .. }
            | IpcError::Io { .. } => ErrorKind::Resources,
            IpcError::NoDaemon { .. } | IpcError::HungUp { .. } | IpcError::PeerGone { .. } => {
                ErrorKind::PeerLost
            }
            IpcError::TimedOut { .. } | IpcError::Corrupt { .. } => ErrorKind::PeerLost,
        }
    }

    /// The error as it travels.
    pub fn reason(&self) -> Reason {
        if let IpcError::Refused(reason) | IpcError::Stopped(reason) = self {
            return reason.clone();
        }
        Reason::new(self.kind(), self.what(), self.place(), self.remedy())
    }

    fn what(&self) -> String {
        match self {
            IpcError::Refused(reason) | IpcError::Stopped(reason) => reason.what.clone(),
            IpcError::NoDaemon { .. } => "no loader answers".to_owned(),
            IpcError::BadSocket { what, .. } => format!("the socket cannot be used: {what}"),
            IpcError::SocketInUse { owner, .. } => {
                format!("a loader already serves here: {owner}")
            }
            IpcError::Version { .. } => "protocol mismatch".to_owned(),
            IpcError::NotAPeer { what } => {
                format!("the peer is not a sslight loader or subscriber: {what}")
            }
            IpcError::HungUp { what } => what.clone(),
            IpcError::PeerGone { pid, .. } => format!("the loader (pid {pid}) is gone"),
            IpcError::TimedOut { pid, waited_ms, .. } => {
                format!("no batch within {waited_ms} ms although the loader (pid {pid}) is alive")
            }
            IpcError::Forked { pid } => {
                format!("this stream belongs to process {pid}, which forked this one")
            }
            IpcError::Corrupt { what } => format!("the peer broke the protocol: {what}"),
            IpcError::SharedMemory { num_slots, .. } => {
                format!("too little memory for a ring of {num_slots} slots")
            }
            IpcError::BadGeometry { what } => format!("impossible ring: {what}"),
            IpcError::NoThread { whom, source } => {
                format!("cannot start a thread for {whom}: {source}")
            }
            IpcError::Io { what, source } => format!("{what}: {source}"),
        }
    }

    /// Empty where it is not known.
    fn place(&self) -> String {
        match self {
            IpcError::NoDaemon { socket }
            | IpcError::BadSocket { socket, .. }
            | IpcError::SocketInUse { socket, .. } => socket.display().to_string(),
            IpcError::Version { ours, theirs, pid } => {
                format!(
                    "this side speaks version {ours}, process {pid} version {theirs} (kill {pid} ends it)"
                )
            }
            IpcError::PeerGone { epoch, step, .. } => {
                format!("waiting for epoch {epoch}, step {step}")
            }
            IpcError::TimedOut { epoch, step, .. } => format!("epoch {epoch}, step {step}"),
            IpcError::Corrupt { .. } => "this stream, which is closed".to_owned(),
            IpcError::SharedMemory {
                needed_mib,
                free_mib,
                whose,
                ..
            } => format!("{whose}: {needed_mib} MiB needed, {free_mib} MiB free"),
            _ => String::new(),
        }
    }

    fn remedy(&self) -> &str {
        match self {
            IpcError::Refused(reason) | IpcError::Stopped(reason) => &reason.remedy,
            IpcError::NoDaemon { .. } => "start one that serves there",
            IpcError::BadSocket { .. } => "choose another path",
            IpcError::SocketInUse { .. } => "subscribe to it, stop it, or choose another socket",
            IpcError::Version { .. } => "use binaries of one release",
            IpcError::NotAPeer { .. } => "check the socket path",
            IpcError::HungUp { .. } => "try again, or check the socket path",
            IpcError::PeerGone { .. } => "restart it, then resume",
            IpcError::TimedOut { is_held: true, .. } => {
                "its slot is held by a batch that was received; give that back first"
            }
            IpcError::TimedOut { .. } => "ask it for its status",
            IpcError::Forked { .. } => "subscribe again here",
            IpcError::Corrupt { .. } => "report this with both versions",
            IpcError::SharedMemory { .. } => {
                "use fewer slots, a smaller batch or smaller views, or allow more memory (in a container, raise its memory limit; /dev/shm \
                 is not used)"
            }
            IpcError::BadGeometry { .. } => "check batch size, view sizes and number of slots",
            IpcError::NoThread { .. } => {
                "allow more processes and threads (ulimit -u; in a container, its limit of pids)"
            }
            IpcError::Io { source, .. } => limit_to_raise(source),
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

impl fmt::Display for IpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let IpcError::Stopped(_) = self {
            f.write_str("the loader ended the stream: ")?;
        }
        self.reason().fmt(f)
    }
}

impl std::error::Error for IpcError {}

impl From<IpcError> for Reason {
    fn from(error: IpcError) -> Reason {
        error.reason()
    }
}

/// What to do about a limit of the system that was met.
fn limit_to_raise(error: &io::Error) -> &'static str {
    use rustix::io::Errno;
    match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE) => "allow more open files (ulimit -n)",
        Some(Errno::FBIG) => "allow larger files (ulimit -f)",
        Some(Errno::NOMEM) => "free some memory, or allow more (ulimit -v)",
        _ => "",
    }
}
