//! A loader for a data set: the daemon that serves it already, or one that is started and ends with its last user.
//!
//! Who asks for a data set [attaches](attach) to it. All who do so share one daemon per data set, whoever was first. It ends when the last of
//! them is gone, however he went: being [`Attached`] is an open socket, and the kernel closes that of a killed process.
//!
//! It does not know what the daemon is made of (it is given a [`Program`] to start) nor what is subscribed to there.

mod attach;
mod data_set;
mod error;
mod program;

pub use attach::{Attached, Wanted, attach};
pub use error::AttachError;
pub use program::Program;
