//! What calls can come to.

use std::process;

/// A status of the driver or of NVRTC that is no success.
pub(crate) type Status = u32;

pub(crate) const INVALID_VALUE: Status = 1;
pub(crate) const OUT_OF_MEMORY: Status = 2;
pub(crate) const NO_DEVICE: Status = 100;
pub(crate) const INVALID_IMAGE: Status = 200;
pub(crate) const INVALID_CONTEXT: Status = 201;
pub(crate) const INVALID_HANDLE: Status = 400;
pub(crate) const NOT_FOUND: Status = 500;
pub(crate) const NOT_READY: Status = 600;
pub(crate) const ALREADY_REGISTERED: Status = 712;
pub(crate) const NOT_REGISTERED: Status = 713;
pub(crate) const UNKNOWN: Status = 999;
/// No status of the driver: the call never comes back.
pub(crate) const HANGS: Status = Status::MAX;

/// Ends the process: the program has done what would be wrong with a real card, too.
pub(crate) fn complain(what: &str) -> ! {
    eprintln!("stand-in of the driver: {what}");
    process::abort()
}
