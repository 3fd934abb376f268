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
mod fault;

use std::borrow::Cow;

use tar::{EntryType, Header};

use extension::Extensions;
pub use extension::pax_records;
pub use fault::{Damage, Fault};

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

/// Iterates over the members of a tar, up to its end mark.
#[derive(Debug, Clone)]
pub struct Members<'a> {
    tar: &'a [u8],
    at: usize,
    ended: bool,
    goes_on: bool,
    last_good: Option<(Cow<'a, [u8]>, u64)>,
    cut: Option<Member<'a>>,
}

impl<'a> Members<'a> {
    /// The members of this tar up to its first damage.
    pub fn new(tar: &'a [u8]) -> Self {
        Self {
            tar,
            at: 0,
            ended: false,
            goes_on: false,
            last_good: None,
            cut: None,
        }
    }

    /// The members of this tar, also after damage: from the next block on that is a header by its magic and checksum. For those
    /// who compare a shard with its index, or look into a tar that somebody else has written.
    pub fn going_on(tar: &'a [u8]) -> Self {
        Self {
            goes_on: true,
            ..Self::new(tar)
        }
    }

    /// Offset up to which the tar has been read, bytes; with the end marker once that is reached.
    pub fn position(&self) -> u64 {
        self.at.min(self.tar.len()) as u64
    }

    /// After [`Fault::CutShort`] the member that goes beyond the end, with what is there of its content.
    pub fn cut_member(&self) -> Option<Member<'a>> {
        self.cut.clone()
    }

    /// The damage to tell if something follows the end mark, so that it was none: a hole of zeros over a header.
    pub fn damage_at_end(&self) -> Damage {
        let offset = (self.position() as usize).saturating_sub(BLOCK);
        self.damage_at(Fault::EmptyHeader, offset)
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
        let name = match extensions.name() {
            Some(name) => Cow::Borrowed(name),
            None => header.path_bytes(),
        };
        let member = Member {
            kind: kind_of(kind, &name, extensions),
            name,
            header_offset: first_header as u64,
            data_offset: self.at as u64,
            data: self.tar.get(self.at..).unwrap_or_default(),
        };
        match self.content(size) {
            Ok(data) => Ok(Member { data, ..member }),
            Err(fault) => {
                self.cut = Some(member);
                Err(fault)
            }
        }
    }

    /// The header here, or `None` at the end marker.
    fn header(&mut self) -> Result<Option<&'a Header>, Fault> {
        if let Some(with) = compression(self.tar).filter(|_| self.at == 0) {
            return Err(Fault::Compressed(with));
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

    /// Tells of damage, and ends there, or goes on after it.
    fn damage(&mut self, fault: Fault, offset: usize) -> Damage {
        match next_header(self.tar, offset).filter(|_| self.goes_on) {
            Some(next) => self.at = next,
            None => self.ended = true,
        }
        self.damage_at(fault, offset)
    }

    fn damage_at(&self, fault: Fault, offset: usize) -> Damage {
        let last_good = self.last_good.as_ref();
        Damage {
            fault,
            offset: offset.min(self.tar.len()) as u64,
            last_good: last_good
                .map(|(name, offset)| (String::from_utf8_lossy(name).into_owned(), *offset)),
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
            Ok(None) if self.goes_on && !is_end_mark(&self.tar[start..]) => {
                Some(Err(self.damage(Fault::EmptyHeader, start)))
            }
            Ok(None) => {
                self.ended = true;
                None
            }
            Err(fault) => Some(Err(self.damage(fault, start))),
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

/// Whether only the end mark is left: two blocks of zeros, or what is left of them.
fn is_end_mark(rest: &[u8]) -> bool {
    rest[..rest.len().min(2 * BLOCK)]
        .iter()
        .all(|byte| *byte == 0)
}

/// The first header after `at`. Contents may look like one by chance, but hardly with the magic too.
fn next_header(tar: &[u8], at: usize) -> Option<usize> {
    let mut starts = (at + BLOCK..(tar.len() + 1).saturating_sub(BLOCK)).step_by(BLOCK);
    starts.find(|start| {
        let block = &tar[*start..*start + BLOCK];
        block[257..].starts_with(b"ustar") && is_header(block)
    })
}

/// Whether the checksum of a header holds.
fn is_header(block: &[u8]) -> bool {
    Header::from_byte_slice(block).cksum().ok() == Some(checksum(block))
}

/// The sum of the bytes of a header, with blanks in place of the checksum itself.
fn checksum(block: &[u8]) -> u32 {
    let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
    sum(&block[..148]) + 8 * u32::from(b' ') + sum(&block[156..])
}

/// By what the bytes are compressed, if they begin so.
fn compression(bytes: &[u8]) -> Option<&'static str> {
    let magics: [(&[u8], &str); 4] = [
        (b"\x1f\x8b", "gzip"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"BZh", "bzip2"),
        (b"\xfd7zXZ\0", "xz"),
    ];
    // A tar could begin with a member that is called like one of these; its header has a checksum.
    let is_header = bytes.get(..BLOCK).is_some_and(is_header);
    let found = magics.iter().find(|(magic, _)| bytes.starts_with(magic));
    found.filter(|_| !is_header).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests;
