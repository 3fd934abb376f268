//! The images of a tar that may be anybody's.

use std::path::Path;

use shard_format::image_header::{Content, identify};
use shard_format::members::{Member, MemberKind, Members};

use super::item::{self, Item, refused};
use super::place;
use crate::commands::cat::not_a_tar;
use crate::error::ToolError;
use crate::report::counts::{counted, last_good};
use crate::report::output::tell;
use crate::source::catalogue::UNLABELLED;

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
            content: item::Content::Bytes(member.data),
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
    for member in Members::going_on(tar) {
        let member = member.map_err(|damage| match damage.offset {
            0 => not_a_tar(path, &damage),
            offset => ToolError::data(
                format_args!("the tar is damaged: {}", damage.fault),
                format_args!(
                    "{} offset {offset}, {}",
                    path.display(),
                    last_good(damage.last_good.as_ref())
                ),
                "copy it again (nothing was written)",
            ),
        })?;
        if let Some(problem) = fault(&member) {
            return Err(unsafe_member(path, &member, problem));
        }
        if member.kind == MemberKind::Regular {
            files.push(member);
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

fn unsafe_member(path: &Path, member: &Member<'_>, problem: &str) -> ToolError {
    let name = String::from_utf8_lossy(&member.name);
    refused(path.display(), &name, member.header_offset, problem)
}
