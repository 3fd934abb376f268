//! Why a file has no pixels.

/// Why a file has no pixels. Its text says what; the caller knows where, and [`DecodeError::remedy`] what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The data end before the last row.
    #[error("the {kind} is truncated after {len} bytes")]
    Truncated {
        /// File type, such as `jpeg`.
        kind: &'static str,
        /// Number of bytes there are.
        len: usize,
    },
    /// The data contradict the format, or use a part of it that is not supported.
    #[error("the {kind} cannot be decoded: {reason}")]
    Corrupt {
        /// File type, such as `jpeg`.
        kind: &'static str,
        /// What the library said, in one line.
        reason: String,
    },
    /// The header promises more pixels than the limit.
    #[error("the image has {width} x {height} pixels, the limit is {limit}")]
    TooLarge {
        /// Width in pixels.
        width: u64,
        /// Height in pixels.
        height: u64,
        /// Most pixels allowed.
        limit: u64,
    },
    /// The content is not an image of a known type.
    #[error("not an image that can be decoded (detected: {detected})")]
    UnknownType {
        /// What the content looks like ([`crate::content_name`]).
        detected: &'static str,
    },
    /// The system gives no memory for the pixels.
    #[error("there is no memory for an image of {num_bytes} bytes")]
    NoMemory {
        /// What was asked for.
        num_bytes: usize,
    },
}

impl DecodeError {
    /// The cause in a word or two, for counts.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "truncated",
            Self::Corrupt { .. } => "corrupt",
            Self::TooLarge { .. } => "too large",
            Self::UnknownType { .. } => "unknown type",
            Self::NoMemory { .. } => "no memory",
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "fetch the file again",
            Self::Corrupt { .. } => "replace the file",
            Self::TooLarge { .. } => "shrink it or raise the pixel limit",
            Self::UnknownType { .. } => "leave it out",
            Self::NoMemory { .. } => "leave it out or give more memory",
        }
    }
}
