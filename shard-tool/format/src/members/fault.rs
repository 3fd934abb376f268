//! What can be wrong with a tar, and where.

/// One way in which a tar can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// It begins like a gzip, zstd, bzip2 or xz file.
    #[error("it is compressed with {0}")]
    Compressed(&'static str),
    /// The bytes end where a header should be.
    #[error("it is cut short: it ends without the end marker")]
    NoEndMarker,
    /// The checksum in a header is not that of the header.
    #[error("the checksum of a header differs")]
    HeaderChecksum,
    /// The size in a header is no number.
    #[error("the size in a header is not a number")]
    Size,
    /// Zeros stand where a header should be.
    #[error("zeros stand where a header should be")]
    EmptyHeader,
    /// A content goes beyond the end.
    #[error("it is cut short: {found} of {expected} bytes of a member are there")]
    CutShort {
        /// Bytes from the start of the content to the end of the tar.
        found: u64,
        /// Size of the content that the header states.
        expected: u64,
    },
    /// A PAX header is not a list of records.
    #[error("a PAX header is malformed")]
    Pax,
    /// Two long names or two PAX headers before one member.
    #[error("a member has two extended headers of one type")]
    TwoExtensions,
    /// A PAX header for all members names or measures them.
    #[error("a global PAX header sets the name or size of every member")]
    GlobalName,
    /// The end marker follows a header that describes a member to come.
    #[error("it is cut short: it ends after the extended header of a member")]
    MissingMember,
}

/// Where and why a walk had to stop. Everything before it was whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// What is wrong.
    pub fault: Fault,
    /// Offset of the header concerned in the tar, bytes.
    pub offset: u64,
    /// Name and header offset of the last member that is whole; none if there is none.
    pub last_good: Option<(String, u64)>,
}
