//! Walks the members of a tar in memory, from header to header, without its index.
//!
//! For those who compare a shard with its index, or read a tar that somebody else has written. It
//! goes on behind damage, at the next block that is a header by its checksum, and says so. It does
//! not judge names: a caller that writes files must.

use std::borrow::Cow;

use crate::members::{Member, Members, is_header};

/// Unit of tar: headers and padded contents are multiples of it.
const BLOCK: usize = 512;

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
        /// Name and header offset of the last whole member before it; none if there is none.
        last_good: Option<(String, u64)>,
    },
}

/// Walks `tar` from its start to its end mark.
pub fn walk(tar: &[u8]) -> Walk<'_> {
    Walk {
        tar,
        at: Some(0),
        last_good: None,
    }
}

/// Iterator over a tar; see [`walk`].
#[derive(Debug, Clone)]
pub struct Walk<'a> {
    tar: &'a [u8],
    /// Where the next header should be; `None` at the end.
    at: Option<usize>,
    last_good: Option<(Cow<'a, [u8]>, u64)>,
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
                self.last_good = Some((member.name.clone(), member.header_offset));
                Some(Step::Member(member))
            }
            Err(problem) => {
                self.at = next_header(self.tar, at);
                let last_good = self.last_good.as_ref();
                Some(Step::Damage {
                    offset: at as u64,
                    problem,
                    last_good: last_good
                        .map(|(name, at)| (String::from_utf8_lossy(name).into_owned(), *at)),
                })
            }
        }
    }
}

impl<'a> Walk<'a> {
    /// The member whose first header is at `start`, and where the next one is.
    fn member(&self, start: usize) -> Result<(Member<'a>, usize), String> {
        let mut members = Members::starting_at(self.tar, start);
        match members.next() {
            Some(Ok(member)) => Ok((member, members.position() as usize)),
            Some(Err(damage)) => Err(damage.fault.to_string()),
            None => Err("a header is empty".to_owned()),
        }
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
        .find(|start| is_ustar_header(&tar[*start..*start + BLOCK]))
}

/// Contents may look like a header by chance, but hardly with the magic too.
fn is_ustar_header(block: &[u8]) -> bool {
    block[257..].starts_with(b"ustar") && is_header(block)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::members::MemberKind;
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
            Step::Member(member) => String::from_utf8(member.name.into_owned()).expect("UTF-8"),
            Step::Damage {
                offset, problem, ..
            } => format!("{offset}: {problem}"),
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
        assert_eq!((second.header_offset, second.data_offset), (1536, 2048));
        assert_eq!(second.data, [2; 10]);
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
            ["a.jpg", "1536: the checksum of a header differs", "c.jpg"]
        );
        bytes[1536..2048].fill(0);
        assert_eq!(names(&bytes), ["a.jpg", "1536: a header is empty", "c.jpg"]);
    }

    #[test]
    fn damage_tells_the_last_good_member_before_it() {
        let last_good = |tar: &[u8]| {
            let damage = walk(tar).find_map(|step| match step {
                Step::Damage { last_good, .. } => Some(last_good),
                Step::Member(_) => None,
            });
            damage.expect("damage")
        };
        let mut bytes = three();
        assert_eq!(last_good(&bytes[..2050]), Some(("a.jpg".to_owned(), 0)));
        bytes[2560] ^= 1;
        assert_eq!(last_good(&bytes), Some(("b.jpg".to_owned(), 1536)));
        bytes[0] ^= 1;
        assert_eq!(last_good(&bytes), None);
    }

    #[test]
    fn a_tar_that_is_cut_tells_where() {
        let bytes = three();
        assert_eq!(
            names(&bytes[..2050]),
            [
                "a.jpg",
                "1536: it is cut short: 2 of 10 bytes of a member are there"
            ]
        );
        assert_eq!(
            names(&bytes[..1536]),
            [
                "a.jpg",
                "1536: it is cut short: it ends without the end marker"
            ]
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
