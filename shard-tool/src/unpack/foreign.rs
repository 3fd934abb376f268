//! The images of a tar that may be anybody's.

use std::path::Path;

use shard_format::image_header::{Content, identify};
use shard_format::members::{Member, MemberKind};
use shard_format::walk::{Step, walk};

use super::{Item, place};
use crate::error::ToolError;
use crate::output::tell;
use crate::report::counted;
use crate::set::UNLABELLED;

/// The images among the members, with their places in `split`. Everything is judged, images or not.
///
/// # Errors
/// If the tar is damaged, or a member is a link, a device, or leads elsewhere.
pub(super) fn items<'a>(
    path: &Path,
    tar: &'a [u8],
    split: &str,
) -> Result<Vec<Item<'a>>, ToolError> {
    let files = files(path, tar)?;
    let (mut items, mut num_others) = (Vec::new(), 0);
    for (position, member) in files.iter().enumerate() {
        let Content::Image(header) = identify(member.data) else {
            num_others += u64::from(!member.name.ends_with(b".cls"));
            continue;
        };
        let key = key_of(member, files.get(position + 1));
        let place = place::path_of(split, &key, header.kind);
        items.push(Item {
            path: place.map_err(|problem| unsafe_member(path, member, problem))?,
            content: super::Content::Bytes(member.data),
        });
    }
    if num_others > 0 {
        let members = counted(num_others, "member");
        tell!("warning: {members} left out, neither JPEG nor PNG");
    }
    Ok(items)
}

fn files<'a>(path: &Path, tar: &'a [u8]) -> Result<Vec<Member<'a>>, ToolError> {
    let mut files = Vec::new();
    for step in walk(tar) {
        match step {
            Step::Member(member) => {
                if let Some(problem) = fault(&member) {
                    return Err(unsafe_member(path, &member, problem));
                }
                if member.kind == MemberKind::Regular {
                    files.push(member);
                }
            }
            Step::Damage {
                offset: 0, problem, ..
            } => return Err(ToolError::not_a_tar(path, problem)),
            Step::Damage {
                offset,
                problem,
                last_good,
            } => {
                let path = path.to_owned();
                return Err(ToolError::DamagedTar {
                    path,
                    offset,
                    problem,
                    last_good,
                });
            }
        }
    }
    Ok(files)
}

fn fault(member: &Member<'_>) -> Option<&'static str> {
    match member.kind {
        MemberKind::Regular => place::check(named(member)).err(),
        MemberKind::Folder => {
            let name = named(member);
            let name = name.strip_suffix(b"/").unwrap_or(name);
            // The folder that was packed.
            let is_root = matches!(name, b"" | b".") && !member.name.starts_with(b"/");
            place::check(name).err().filter(|_| !is_root)
        }
        MemberKind::Sparse => Some("file with holes"),
        MemberKind::Special(what) => Some(what),
    }
}

/// The name without the `./` that tars of a folder begin with.
fn named<'m>(member: &'m Member<'_>) -> &'m [u8] {
    member.name.strip_prefix(b"./").unwrap_or(&member.name)
}

/// The name without extension; an image in no folder goes into one for its label.
fn key_of(member: &Member<'_>, next: Option<&Member<'_>>) -> Vec<u8> {
    let name = named(member);
    let dot = name.iter().rposition(|byte| *byte == b'.');
    let slash = name.iter().rposition(|byte| *byte == b'/');
    let stem = match dot {
        Some(dot) if dot > slash.map_or(0, |slash| slash + 1) => &name[..dot],
        _ => name,
    };
    if slash.is_some() {
        return stem.to_vec();
    }
    let is_label = |next: &&Member<'_>| named(next).strip_suffix(b".cls") == Some(stem);
    let label = next.filter(is_label).map(|next| next.data);
    let is_number = |label: &&[u8]| !label.is_empty() && label.iter().all(u8::is_ascii_digit);
    let folder = label.filter(is_number).unwrap_or(UNLABELLED.as_bytes());
    [folder, b"/", stem].concat()
}

fn unsafe_member(path: &Path, member: &Member<'_>, problem: &'static str) -> ToolError {
    ToolError::UnsafeMember {
        tar: path.to_owned(),
        member: String::from_utf8_lossy(&member.name).into_owned(),
        offset: member.header_offset,
        problem,
    }
}
