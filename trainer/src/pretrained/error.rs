//! Why weights cannot be had.

use std::io;
use std::path::PathBuf;

use super::names::Which;
use crate::checkpoint::CheckpointError;
use crate::differences::{Difference, table};

/// What can be wrong with weights that somebody saved.
#[derive(Debug, thiserror::Error)]
pub enum PretrainedError {
    /// There is nothing that is known here.
    #[error(
        "cannot take weights from it: {what}; {}; give a checkpoint's folder, a run's folder, or a .safetensors or .pth file", .path.display()
    )]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A checkpoint of ours is damaged.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// One of two networks is asked for, and only the other is there.
    #[error("it holds no {}; {}; take the other network", .which.name(), .path.display())]
    NoSuchNetwork {
        /// The file or folder.
        path: PathBuf,
        /// The one that was asked for.
        which: Which,
    },
    /// There is a file already where one is to be written.
    #[error("there is a file already; {}; choose another name or replace it", .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be written.
    #[error("writing failed: {source}; {}; make space or check permissions", .path.display())]
    Write {
        /// What was written.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// They are the weights of another network.
    #[error(
        "these are weights of another network; {}; choose the MODEL.BACKBONE_ARCH that they are of:{}", .path.display(), table(.differences)
    )]
    Differs {
        /// The file or folder.
        path: PathBuf,
        /// Every name that does not fit.
        differences: Vec<Difference>,
    },
}
