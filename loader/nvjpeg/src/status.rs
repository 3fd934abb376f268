//! From a status of nvJPEG to a `Result` that names the function and says what NVIDIA means by it.

use crate::sys::nvjpegStatus_t;

/// What a function of nvJPEG answers when it does not succeed. The meanings are those of NVIDIA's list of return codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The library has no handle yet.
    NotInitialized,
    /// A parameter is wrong.
    InvalidParameter,
    /// The JPEG cannot be parsed.
    BadJpeg,
    /// The JPEG is of a kind that the library does not decode.
    JpegNotSupported,
    /// Memory could not be had, or not be given back.
    AllocatorFailure,
    /// The device failed while it worked.
    ExecutionFailed,
    /// The device cannot do what was asked for.
    ArchMismatch,
    /// The library failed inside.
    InternalError,
    /// The function is not there for this back end.
    ImplementationNotSupported,
    /// The data end too early.
    IncompleteBitstream,
    /// A number that NVIDIA's list does not have.
    Unknown(nvjpegStatus_t),
}

impl Status {
    fn of(code: nvjpegStatus_t) -> Option<Self> {
        Some(match code {
            0 => return None,
            1 => Self::NotInitialized,
            2 => Self::InvalidParameter,
            3 => Self::BadJpeg,
            4 => Self::JpegNotSupported,
            5 => Self::AllocatorFailure,
            6 => Self::ExecutionFailed,
            7 => Self::ArchMismatch,
            8 => Self::InternalError,
            9 => Self::ImplementationNotSupported,
            10 => Self::IncompleteBitstream,
            other => Self::Unknown(other),
        })
    }

    /// NVIDIA's meaning, in a few words.
    fn meaning(self) -> &'static str {
        match self {
            Self::NotInitialized => "the library was not initialised",
            Self::InvalidParameter => "a wrong parameter was passed",
            Self::BadJpeg => "the JPEG cannot be parsed",
            Self::JpegNotSupported => "this kind of JPEG is not supported",
            Self::AllocatorFailure => "memory could not be allocated or released",
            Self::ExecutionFailed => "a task on the device failed, or no device could be used",
            Self::ArchMismatch => "the device is not capable of it",
            Self::InternalError => "the library failed inside",
            Self::ImplementationNotSupported => "it is not implemented",
            Self::IncompleteBitstream => "the JPEG ends too early",
            Self::Unknown(_) => "a status that NVIDIA's list does not have",
        }
    }

    fn code(self) -> nvjpegStatus_t {
        match self {
            Self::NotInitialized => 1,
            Self::InvalidParameter => 2,
            Self::BadJpeg => 3,
            Self::JpegNotSupported => 4,
            Self::AllocatorFailure => 5,
            Self::ExecutionFailed => 6,
            Self::ArchMismatch => 7,
            Self::InternalError => 8,
            Self::ImplementationNotSupported => 9,
            Self::IncompleteBitstream => 10,
            Self::Unknown(code) => code,
        }
    }
}

/// A call that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{function}: {} (status {})", status.meaning(), status.code())]
pub struct Failure {
    /// The function's name.
    pub function: &'static str,
    /// What it answered.
    pub status: Status,
}

impl Failure {
    /// Whether the image is to blame, so that another decoder may be asked, rather than the device or the library. A wrong parameter counts, too: that
    /// is what nvJPEG says of some files, and ours do not depend on the image otherwise.
    pub fn is_of_the_image(&self) -> bool {
        matches!(
            self.status,
            Status::BadJpeg
                | Status::JpegNotSupported
                | Status::IncompleteBitstream
                | Status::InvalidParameter
        )
    }

    /// Whether there was no memory: a smaller batch may go through.
    pub fn is_out_of_memory(&self) -> bool {
        self.status == Status::AllocatorFailure
    }
}

/// What `function` answered, as a `Result`.
pub(crate) fn check(function: &'static str, status: nvjpegStatus_t) -> Result<(), Failure> {
    match Status::of(status) {
        None => Ok(()),
        Some(status) => Err(Failure { function, status }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_keeps_its_number_and_only_zero_is_success() {
        assert_eq!(check("f", 0), Ok(()));
        for code in 1..40 {
            let failure = check("f", code).expect_err("not zero");
            assert_eq!(failure.status.code(), code);
        }
    }

    #[test]
    fn a_failure_names_its_function_and_nvidias_meaning() {
        let failure = check("nvjpegDecodeBatched", 4).expect_err("not zero");
        let text = "nvjpegDecodeBatched: this kind of JPEG is not supported (status 4)";
        assert_eq!(failure.to_string(), text);
        assert!(failure.is_of_the_image() && !failure.is_out_of_memory());
        let memory = check("nvjpegBufferDeviceResize", 5).expect_err("not zero");
        assert!(memory.is_out_of_memory() && !memory.is_of_the_image());
    }
}
