//! Errors as the package's exceptions, which carry the loader's words: what, where, and what to do.

use loader_client::AttachError;
use loader_ipc::{ErrorKind, IpcError, Reason};
use pyo3::PyErr;
use pyo3::import_exception;

import_exception!(sslight_loader.errors, ArrayKeptError);
import_exception!(sslight_loader.errors, ArrayReleasedError);
import_exception!(sslight_loader.errors, BatchSizeError);
import_exception!(sslight_loader.errors, DataError);
import_exception!(sslight_loader.errors, ForkedError);
import_exception!(sslight_loader.errors, LoaderError);
import_exception!(sslight_loader.errors, LoaderLostError);
import_exception!(sslight_loader.errors, LoaderTimeoutError);
import_exception!(sslight_loader.errors, NoLoaderError);
import_exception!(sslight_loader.errors, NotPackedError);
import_exception!(sslight_loader.errors, RecipeError);
import_exception!(sslight_loader.errors, ResourcesError);
import_exception!(sslight_loader.errors, SplitError);
import_exception!(sslight_loader.errors, StartError);
import_exception!(sslight_loader.errors, StreamClosedError);
import_exception!(sslight_loader.errors, UsageError);
import_exception!(sslight_loader.errors, VersionError);

/// The three parts as an exception takes them.
pub(crate) fn words(reason: Reason) -> (String, String, String) {
    (reason.what, reason.place, reason.remedy)
}

/// The exception for a kind of trouble.
pub(crate) fn by_kind(reason: Reason) -> PyErr {
    match reason.kind {
        ErrorKind::Usage => UsageError::new_err(words(reason)),
        ErrorKind::Data => DataError::new_err(words(reason)),
        ErrorKind::Resources => ResourcesError::new_err(words(reason)),
        ErrorKind::Library => LoaderError::new_err(words(reason)),
        ErrorKind::PeerLost => LoaderLostError::new_err(words(reason)),
    }
}

pub(crate) fn ipc(error: &IpcError) -> PyErr {
    let reason = error.reason();
    match error {
        IpcError::NoDaemon { .. } => NoLoaderError::new_err(words(reason)),
        IpcError::Forked { .. } => ForkedError::new_err(words(reason)),
        IpcError::Version { .. } => VersionError::new_err(words(reason)),
        IpcError::TimedOut { .. } => LoaderTimeoutError::new_err(words(reason)),
        _ => by_kind(reason),
    }
}

pub(crate) fn attach(error: &AttachError) -> PyErr {
    match error {
        AttachError::Ipc(error) => ipc(error),
        AttachError::NotPacked { .. } => NotPackedError::new_err(words(error.reason())),
        AttachError::NoProgram { .. } => NoLoaderError::new_err(words(error.reason())),
        AttachError::Died { .. } | AttachError::Silent { .. } => {
            StartError::new_err(words(error.reason()))
        }
        _ => by_kind(error.reason()),
    }
}
