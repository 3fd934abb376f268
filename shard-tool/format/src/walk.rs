//! Walks the members of a tar in memory, from header to header, without its index.
//!
//! For those who compare a shard with its index, or read a tar that somebody else has written. It
//! goes on behind damage, at the next block that is a header by its checksum, and says so. It does
//! not judge names: a caller that writes files must.

use std::io::Cursor;

/// Unit of tar: headers and padded contents are multiples of it.
const BLOCK: usize = 512;

/// One member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its whole name, long ones included.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: MemberKind,
    /// Offset of its first header in the tar, bytes.
    pub start: u64,
    /// Offset of its content in the tar, bytes.
    pub offset: u64,
    /// Its content.
    pub content: &'a [u8],
}

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberKind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// What concerns all members (a global header).
    Metadata,
    /// Anything else, by name: `symbolic link`, `hard link`, `device`, ...
    Special(&'static str),
}

/// What comes next in a tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<'a> {
    /// A whole member.
    Member(Member<'a>),
    /// Bytes that belong to no member; the walk goes on behind them, if there is more.
    Damage {
        /// Where they start.
        offset: u64,
        /// What is wrong.
        problem: String,
    },
}

/// Walks `tar` from its start to its end mark.
pub fn walk(tar: &[u8]) -> Walk<'_> {
    Walk { tar, at: Some(0) }
}

/// Iterator over a tar; see [`walk`].
#[derive(Debug, Clone)]
pub struct Walk<'a> {
    tar: &'a [u8],
    /// Where the next header should be; `None` at the end.
    at: Option<usize>,
}

impl<'a> Iterator for Walk<'a> {
    type Item = Step<'a>;

    fn next(&mut self) -> Option<Step<'a>> {
        let at = self.at?;
        if is_end_mark(&self.tar[at..]) {
            self.at = None;
            return None;
        }
        match self.member(at) {
            Ok((member, end)) => {
                self.at = Some(end.min(self.tar.len()));
                Some(Step::Member(member))
            }
            Err(problem) => {
                self.at = next_header(self.tar, at);
                let offset = at as u64;
                Some(Step::Damage { offset, problem })
            }
        }
    }
}

impl<'a> Walk<'a> {
    /// The member whose first header is at `start`, and where the next one is.
    fn member(&self, start: usize) -> Result<(Member<'a>, usize), String> {
        let rest = &self.tar[start..];
        if rest.is_empty() {
            return Err("the tar ends without its end mark".to_owned());
        }
        let mut archive = tar::Archive::new(Cursor::new(rest));
        let mut entries = archive.entries_with_seek().map_err(text)?;
        let entry = match entries.next() {
            Some(entry) => entry.map_err(text)?,
            None => return Err("a header is empty".to_owned()),
        };
        let offset = start + entry.raw_file_position() as usize;
        let content = usize::try_from(entry.size()).ok();
        let content = content.and_then(|size| self.tar.get(offset..offset.checked_add(size)?));
        let name = entry.path_bytes().into_owned();
        let Some(content) = content else {
            let name = String::from_utf8_lossy(&name);
            return Err(format!("the tar ends within the member `{name}`"));
        };
        let member = Member {
            name,
            kind: kind(entry.header().entry_type()),
            start: start as u64,
            offset: offset as u64,
            content,
        };
        Ok((member, offset + content.len().next_multiple_of(BLOCK)))
    }
}

/// The first line: the others repeat what the tar holds.
fn text(error: std::io::Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}

fn kind(entry_type: tar::EntryType) -> MemberKind {
    use tar::EntryType as Type;
    match entry_type {
        Type::Regular | Type::Continuous => MemberKind::File,
        Type::Directory => MemberKind::Folder,
        Type::XGlobalHeader => MemberKind::Metadata,
        Type::Symlink => MemberKind::Special("symbolic link"),
        Type::Link => MemberKind::Special("hard link"),
        Type::Char | Type::Block => MemberKind::Special("device"),
        Type::Fifo => MemberKind::Special("pipe"),
        _ => MemberKind::Special("member of an unusual type"),
    }
}

/// Whether only the end mark is left: two blocks of zeros, or what is left of them.
fn is_end_mark(rest: &[u8]) -> bool {
    let mark = &rest[..rest.len().min(2 * BLOCK)];
    !mark.is_empty() && mark.iter().all(|byte| *byte == 0)
}

/// The first header behind `at`, by its magic and checksum.
fn next_header(tar: &[u8], at: usize) -> Option<usize> {
    let starts = (at + BLOCK..tar.len()).step_by(BLOCK);
    starts
        .take_while(|start| start + BLOCK <= tar.len())
        .find(|start| is_header(&tar[*start..*start + BLOCK]))
}

fn is_header(block: &[u8]) -> bool {
    if !block[257..].starts_with(b"ustar") {
        return false;
    }
    let header = tar::Header::from_byte_slice(block);
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    let own: u32 = block[148..156].iter().map(|byte| u32::from(*byte)).sum();
    header.cksum().is_ok_and(|stated| stated == sum - own + 256)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A tar of these files, and where the header of each is.
    fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            builder
                .append_data(&mut header, name, *content)
                .expect("appended");
        }
        builder.into_inner().expect("ended")
    }

    fn three() -> Vec<u8> {
        tar(&[("a.jpg", &[1; 700]), ("b.jpg", &[2; 10]), ("c.jpg", b"")])
    }

    fn names(tar: &[u8]) -> Vec<String> {
        let name = |step| match step {
            Step::Member(member) => String::from_utf8(member.name).expect("UTF-8"),
            Step::Damage { offset, problem } => format!("{offset}: {problem}"),
        };
        walk(tar).map(name).collect()
    }

    #[test]
    fn members_come_in_order_with_their_contents() {
        let bytes = three();
        assert_eq!(names(&bytes), ["a.jpg", "b.jpg", "c.jpg"]);
        let Some(Step::Member(second)) = walk(&bytes).nth(1) else {
            panic!("a member")
        };
        assert_eq!((second.start, second.offset), (1536, 2048));
        assert_eq!(second.content, [2; 10]);
    }

    #[test]
    fn a_long_name_is_seen_whole() {
        let name = format!("class/{}.jpg", "l".repeat(300));
        let bytes = tar(&[(&name, b"x")]);
        assert_eq!(names(&bytes), [name]);
    }

    #[test]
    fn the_walk_goes_on_behind_a_damaged_header() {
        let mut bytes = three();
        bytes[1536] ^= 1;
        assert_eq!(
            names(&bytes),
            ["a.jpg", "1536: archive header checksum mismatch", "c.jpg"]
        );
        bytes[1536..2048].fill(0);
        assert_eq!(names(&bytes), ["a.jpg", "1536: a header is empty", "c.jpg"]);
    }

    #[test]
    fn a_tar_that_is_cut_tells_where() {
        let bytes = three();
        assert_eq!(
            names(&bytes[..2050]),
            ["a.jpg", "1536: the tar ends within the member `b.jpg`"]
        );
        assert_eq!(
            names(&bytes[..1536]),
            ["a.jpg", "1536: the tar ends without its end mark"]
        );
    }

    #[test]
    fn a_link_is_not_a_file() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder
            .append_link(&mut header, "a", "/etc/passwd")
            .expect("appended");
        let bytes = builder.into_inner().expect("ended");
        let Some(Step::Member(member)) = walk(&bytes).next() else {
            panic!("a member")
        };
        assert_eq!(member.kind, MemberKind::Special("symbolic link"));
    }

    proptest! {
        #[test]
        fn the_walk_of_any_bytes_ends_without_panic(
            at in any::<prop::sample::Index>(), value in any::<u8>(), cut in any::<prop::sample::Index>()
        ) {
            let mut bytes = three();
            let at = at.index(bytes.len());
            bytes[at] = value;
            let length = cut.index(bytes.len());
            prop_assert!(walk(&bytes[..length]).count() < 20);
            prop_assert!(walk(&bytes).count() < 20);
        }
    }
}
