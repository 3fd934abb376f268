//! Walks through the members of a tar that someone else may have written.
//!
//! Pure: bytes in, members out, in the order of the file; names and contents are borrowed from the
//! bytes wherever they lie there whole. It never panics and never allocates by a size that a header
//! states, whatever the bytes. It does not know of samples or images ([`crate::grouping`] does).
//!
//! Names are read from plain and ustar headers, GNU long names and PAX headers of any length. A tar
//! must end with a block of zeros; what follows it is not looked at. Where readers disagree on how
//! much content a member has, Python's `tarfile` is followed, since WebDataset readers build on it:
//! links, folders and devices have none, whatever their header says.

mod extension;

use std::borrow::Cow;

use tar::{EntryType, Header};

use extension::Extensions;
pub use extension::pax_records;

/// Unit of tar: headers and padded contents are multiples of it.
const BLOCK: usize = 512;
/// Where a continued sparse map says that it goes on.
const SPARSE_GOES_ON: usize = 504;

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberKind {
    /// A file whose content lies in the tar as it is.
    Regular,
    /// A file with holes: the tar holds a map and the parts between the holes.
    Sparse,
    /// A folder.
    Folder,
    /// Anything else, by name: `symbolic link`, `hard link`, `device`, ...
    Special(&'static str),
}

/// One member of a tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its whole name, usually but not surely UTF-8.
    pub name: Cow<'a, [u8]>,
    /// What it is.
    pub kind: MemberKind,
    /// Offset of its first header in the tar, bytes; a long name has one of its own.
    pub header_offset: u64,
    /// Offset of its content in the tar, bytes.
    pub data_offset: u64,
    /// Its content, whole.
    pub data: &'a [u8],
}

/// One way in which a tar can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// It begins like a gzip, zstd, bzip2 or xz file.
    #[error("it is compressed")]
    Compressed,
    /// The bytes end where a header should be.
    #[error("it is cut short: it ends without the end marker")]
    NoEndMarker,
    /// The checksum in a header is not that of the header.
    #[error("the checksum of a header differs")]
    HeaderChecksum,
    /// The size in a header is no number.
    #[error("the size in a header is not a number")]
    Size,
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

/// Iterates over the members of a tar. After an error it gives nothing more.
#[derive(Debug, Clone)]
pub struct Members<'a> {
    tar: &'a [u8],
    at: usize,
    ended: bool,
    last_good: Option<(Cow<'a, [u8]>, u64)>,
}

impl<'a> Members<'a> {
    /// The members of this tar, from its first byte on.
    pub fn new(tar: &'a [u8]) -> Self {
        Self::starting_at(tar, 0)
    }

    /// The members of this tar from the header at this offset on.
    pub(crate) fn starting_at(tar: &'a [u8], at: usize) -> Self {
        Self {
            tar,
            at,
            ended: false,
            last_good: None,
        }
    }

    /// Offset up to which the tar has been read, bytes; with the end marker once that is reached.
    pub fn position(&self) -> u64 {
        self.at.min(self.tar.len()) as u64
    }

    fn next_member(&mut self) -> Result<Option<Member<'a>>, Fault> {
        let first_header = self.at;
        let mut extensions = Extensions::default();
        while let Some(header) = self.header()? {
            let kind = header.entry_type();
            let size = header.entry_size().map_err(|_| Fault::Size)?;
            if extension::is_extension(kind) {
                let content = self.content(size)?;
                extensions.add(kind, content)?;
            } else {
                return self.member(header, &extensions, first_header).map(Some);
            }
        }
        if extensions.describe_a_member() {
            return Err(Fault::MissingMember);
        }
        Ok(None)
    }

    fn member(
        &mut self,
        header: &'a Header,
        extensions: &Extensions<'a>,
        first_header: usize,
    ) -> Result<Member<'a>, Fault> {
        let kind = header.entry_type();
        if kind == EntryType::GNUSparse {
            self.pass_sparse_map(header)?;
        }
        let stated = header.entry_size().map_err(|_| Fault::Size)?;
        let size = if has_content(kind) {
            extensions.size().unwrap_or(stated)
        } else {
            0
        };
        let data_offset = self.at as u64;
        let name = match extensions.name() {
            Some(name) => Cow::Borrowed(name),
            None => header.path_bytes(),
        };
        Ok(Member {
            kind: kind_of(kind, &name, extensions),
            name,
            header_offset: first_header as u64,
            data_offset,
            data: self.content(size)?,
        })
    }

    /// The header here, or `None` at the end marker.
    fn header(&mut self) -> Result<Option<&'a Header>, Fault> {
        if self.at == 0 && is_compressed(self.tar) {
            return Err(Fault::Compressed);
        }
        let block = self.block()?;
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        if is_header(block) {
            return Ok(Some(Header::from_byte_slice(block)));
        }
        Err(Fault::HeaderChecksum)
    }

    fn block(&mut self) -> Result<&'a [u8], Fault> {
        let block = self.tar.get(self.at..).and_then(|rest| rest.get(..BLOCK));
        let block = block.ok_or(Fault::NoEndMarker)?;
        self.at += BLOCK;
        Ok(block)
    }

    /// The content of this size that lies here.
    fn content(&mut self, size: u64) -> Result<&'a [u8], Fault> {
        let rest = self.tar.get(self.at..).unwrap_or_default();
        let content = usize::try_from(size).ok().and_then(|size| rest.get(..size));
        let Some(content) = content else {
            let found = rest.len() as u64;
            return Err(Fault::CutShort {
                found,
                expected: size,
            });
        };
        self.at += content.len().next_multiple_of(BLOCK);
        Ok(content)
    }

    /// A long map of holes goes on in blocks of its own, before the content.
    fn pass_sparse_map(&mut self, header: &Header) -> Result<(), Fault> {
        let mut goes_on = header.as_gnu().is_some_and(|gnu| gnu.is_extended());
        while goes_on {
            goes_on = self.block()?[SPARSE_GOES_ON] != 0;
        }
        Ok(())
    }

    fn damage(&mut self, fault: Fault, offset: usize) -> Damage {
        let last_good = self.last_good.take();
        Damage {
            fault,
            offset: offset.min(self.tar.len()) as u64,
            last_good: last_good
                .map(|(name, offset)| (String::from_utf8_lossy(&name).into_owned(), offset)),
        }
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Result<Member<'a>, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let start = self.at;
        match self.next_member() {
            Ok(Some(member)) => {
                self.last_good = Some((member.name.clone(), member.header_offset));
                Some(Ok(member))
            }
            Ok(None) => {
                self.ended = true;
                None
            }
            Err(fault) => {
                self.ended = true;
                Some(Err(self.damage(fault, start)))
            }
        }
    }
}

fn has_content(kind: EntryType) -> bool {
    !matches!(
        kind,
        EntryType::Link
            | EntryType::Symlink
            | EntryType::Char
            | EntryType::Block
            | EntryType::Directory
            | EntryType::Fifo
    )
}

fn kind_of(kind: EntryType, name: &[u8], extensions: &Extensions<'_>) -> MemberKind {
    match kind {
        EntryType::GNUSparse => MemberKind::Sparse,
        EntryType::Regular | EntryType::Continuous if extensions.is_sparse() => MemberKind::Sparse,
        // Before ustar a folder was a file with a slash at the end.
        EntryType::Regular if name.ends_with(b"/") => MemberKind::Folder,
        EntryType::Directory => MemberKind::Folder,
        EntryType::Regular | EntryType::Continuous => MemberKind::Regular,
        EntryType::Symlink => MemberKind::Special("symbolic link"),
        EntryType::Link => MemberKind::Special("hard link"),
        EntryType::Char | EntryType::Block => MemberKind::Special("device"),
        EntryType::Fifo => MemberKind::Special("pipe"),
        _ => MemberKind::Special("member of an unusual type"),
    }
}

/// Whether the checksum of a header holds.
pub(crate) fn is_header(block: &[u8]) -> bool {
    Header::from_byte_slice(block).cksum().ok() == Some(checksum(block))
}

/// The sum of the bytes of a header, with blanks in place of the checksum itself.
fn checksum(block: &[u8]) -> u32 {
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    sum(&block[..148]) + 8 * u32::from(b' ') + sum(&block[156..])
}

fn is_compressed(bytes: &[u8]) -> bool {
    let magics: [&[u8]; 4] = [b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ\0"];
    // A tar could begin with a member that is called like one of these; its header has a checksum.
    let is_header = bytes.get(..BLOCK).is_some_and(is_header);
    !is_header && magics.iter().any(|magic| bytes.starts_with(magic))
}

#[cfg(test)]
mod tests;
