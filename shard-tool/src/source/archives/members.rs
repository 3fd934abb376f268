//! The members of a tar, from header to header, and whether it ends as a tar must: with a block of zeros, and nothing but
//! zeros behind it. A hole of zeros over a header, or a stream that broke off between two members, would else pass for the end.

use std::path::Path;

use tar::{Entry, EntryType};

use super::super::Span;
use super::normal;
use super::window::Window;
use crate::error::ToolError;

/// Unit of tar: headers and padded contents are multiples of it.
const BLOCK: u64 = 512;

/// One member; offsets count from the start of the file.
#[derive(Debug)]
pub(super) struct Member {
    /// Its path without empty parts and `.`.
    pub(super) name: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) header_offset: u64,
    pub(super) span: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    /// A folder, or a comment on all members: nothing to be packed.
    Empty,
    /// To another member, or to anywhere.
    Link,
    /// A device, a file with holes.
    Other,
}

/// Where and why a tar is of no more use. Everything before it was whole.
#[derive(Debug)]
pub(super) struct Damage {
    pub(super) problem: String,
    pub(super) offset: u64,
    pub(super) last_good: Option<Member>,
    /// The member that goes beyond the end, with what is there of it.
    pub(super) cut: Option<Member>,
}

/// Calls `visit` for each whole member; gives the damage that ends the tar early, if there is one.
///
/// # Errors
/// If the file cannot be read, and those of `visit`.
pub(super) fn each(
    path: &Path,
    tar: Window<'_>,
    visit: &mut dyn FnMut(&Member) -> Result<(), ToolError>,
) -> Result<Option<Damage>, ToolError> {
    let mut archive = tar::Archive::new(tar);
    let (mut last_good, mut next) = (None, tar.start());
    for entry in archive.entries_with_seek().map_err(ToolError::read(path))? {
        let member = match entry {
            Ok(entry) => Member::of(&entry, tar.start()),
            Err(error) if error.raw_os_error().is_some() => {
                return Err(ToolError::read(path)(error));
            }
            Err(_) if next == tar.start() => {
                let problem =
                    "it does not begin as a tar does (a compressed one must be decompressed)";
                return Ok(Some(Damage::at(next, problem.to_owned(), None)));
            }
            Err(error) => {
                // The message may quote bytes of the archive.
                let problem = error.to_string().escape_debug().to_string();
                return Ok(Some(Damage::at(next, problem, last_good)));
            }
        };
        let end = member.span.offset.saturating_add(member.span.num_bytes);
        if end > tar.end() {
            return Ok(Some(Damage::cut(member, tar.end(), last_good)));
        }
        visit(&member)?;
        next = end.next_multiple_of(BLOCK);
        if member.kind != Kind::Empty {
            last_good = Some(member);
        }
    }
    let problem = ending(archive.into_inner()).map_err(ToolError::read(path))?;
    Ok(problem.map(|problem| Damage::at(next.min(tar.end()), problem.to_owned(), last_good)))
}

/// What is wrong with the end of a tar that was read up to where `tar` stands.
fn ending(tar: Window<'_>) -> std::io::Result<Option<&'static str>> {
    if tar.is_exhausted() {
        return Ok(Some("it is cut short: it ends without the end marker"));
    }
    let is_end = tar.rest_is_zero()?;
    Ok((!is_end).then_some("zeros stand where a header should be"))
}

impl Member {
    fn of<R: std::io::Read>(entry: &Entry<'_, R>, start: u64) -> Self {
        let path = entry.path_bytes();
        let kind = match entry.header().entry_type() {
            EntryType::Directory | EntryType::XGlobalHeader => Kind::Empty,
            // Before ustar a folder was a file with a slash at the end.
            EntryType::Regular if path.ends_with(b"/") => Kind::Empty,
            EntryType::Regular | EntryType::Continuous => Kind::File,
            EntryType::Link | EntryType::Symlink => Kind::Link,
            _ => Kind::Other,
        };
        let num_bytes = if kind == Kind::File { entry.size() } else { 0 };
        Self {
            name: normal(&path),
            kind,
            header_offset: start + entry.raw_header_position(),
            span: Span {
                offset: start + entry.raw_file_position(),
                num_bytes,
            },
        }
    }
}

impl Damage {
    fn at(offset: u64, problem: String, last_good: Option<Member>) -> Self {
        Self {
            problem,
            offset,
            last_good,
            cut: None,
        }
    }

    fn cut(mut member: Member, end: u64, last_good: Option<Member>) -> Self {
        let expected = member.span.num_bytes;
        let found = end.saturating_sub(member.span.offset);
        member.span.num_bytes = found;
        let problem = format!("it is cut short: {found} of {expected} bytes of a member are there");
        let offset = member.header_offset;
        Self {
            cut: Some(member),
            ..Self::at(offset, problem, last_good)
        }
    }
}
