//! Why a call failed: a status for programs, words for people.

use loader_client::AttachError;
use loader_ipc::{ErrorKind, IpcError, Reason};

use crate::types::SslightStatus;

/// What a call answers that did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: SslightStatus,
    pub(crate) words: String,
}

impl Failure {
    /// The caller's mistake.
    pub(crate) fn usage(words: impl Into<String>) -> Failure {
        Failure {
            status: SslightStatus::Usage,
            words: words.into(),
        }
    }
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Failure {
        Failure {
            status: status(reason.kind),
            words: reason.to_string(),
        }
    }
}

impl From<IpcError> for Failure {
    fn from(error: IpcError) -> Failure {
        let status = match error {
            IpcError::TimedOut { .. } => SslightStatus::TimedOut,
            _ => status(error.kind()),
        };
        Failure {
            status,
            words: error.to_string(),
        }
    }
}

impl From<AttachError> for Failure {
    fn from(error: AttachError) -> Failure {
        match error {
            AttachError::Ipc(error) => error.into(),
            error => error.reason().into(),
        }
    }
}

fn status(kind: ErrorKind) -> SslightStatus {
    match kind {
        ErrorKind::Usage => SslightStatus::Usage,
        ErrorKind::Data => SslightStatus::Data,
        ErrorKind::Resources => SslightStatus::Resources,
        ErrorKind::Library => SslightStatus::Library,
        ErrorKind::PeerLost => SslightStatus::PeerLost,
    }
}
