//! The index against the members of the tar: names, offsets, sizes, labels.
//!
//! What lies in the tar beside the samples is no part of the set. It is noted, and it is a defect only
//! where the tar is not what the manifest says.

use std::collections::HashMap;

use shard_format::members::Member;
use shard_format::walk::{Step, walk};
use shard_format::{Entry, UNLABELLED};

use super::defect::{Cause, Defect};
use super::shard::{Shard, label_of};
use crate::report::counted;

/// Walks the tar and compares; adds to `defects` and `notes`.
pub(super) fn check(
    shard: &Shard<'_>,
    as_stated: bool,
    defects: &mut Vec<Defect>,
    notes: &mut Vec<String>,
) {
    let Some(tar) = &shard.tar else { return };
    let file = &shard.manifest.file;
    let mut members = Vec::new();
    for step in walk(tar) {
        match step {
            Step::Member(member) => members.push(member),
            Step::Damage { offset, problem } if as_stated => notes.push(format!(
                "{file} offset {offset}: {problem}; the manifest vouches for these bytes"
            )),
            Step::Damage { offset, problem } => {
                defects.push(Defect::at(Cause::Tar, shard, offset, problem));
            }
        }
    }
    let num_known = compare(shard, &members, defects);
    let num_unknown = members.len() - num_known;
    if num_unknown > 0 && !shard.rebuilt {
        let members = counted(num_unknown as u64, "member");
        notes.push(format!(
            "{file}: {members} of the tar are not in the index, and so not part of the set"
        ));
    }
}

/// How many members belong to a sample.
fn compare(shard: &Shard<'_>, members: &[Member<'_>], defects: &mut Vec<Defect>) -> usize {
    let starts = members.iter().map(|member| member.data_offset).zip(0..);
    let by_offset: HashMap<u64, usize> = starts.collect();
    let mut num_known = 0;
    for number in 0..shard.num_entries() {
        let Some((entry, key)) = shard.entry(number) else {
            continue;
        };
        let mut tell = |cause, reason| {
            defects.push(Defect::of_sample(cause, shard, number, reason));
        };
        let Some(position) = by_offset.get(&entry.offset) else {
            // Where the tar has ended already, the missing bytes are told.
            if shard.image(&entry).is_some() {
                let reason = "no sound member of the tar starts here".to_owned();
                tell(Cause::Member, reason);
            }
            continue;
        };
        num_known += 1;
        if let Some(reason) = member_fault(&members[*position], &entry, key) {
            tell(Cause::Member, reason);
        }
        let next = members.get(position + 1);
        num_known += usize::from(next.is_some_and(|next| is_label(next, key)));
        if let Some(reason) = label_fault(next, entry.label, key) {
            tell(Cause::Label, reason);
        }
    }
    num_known
}

fn member_fault(member: &Member<'_>, entry: &Entry, key: &str) -> Option<String> {
    let name = format!("{key}.{}", entry.header.kind.extension());
    if member.name != name.as_bytes() {
        let found = String::from_utf8_lossy(&member.name);
        return Some(format!("the tar calls this member `{found}`"));
    }
    let found = member.data.len();
    (found as u64 != u64::from(entry.length)).then(|| {
        let stated = entry.length;
        format!("the member has {found} bytes, the index says {stated}")
    })
}

fn label_fault(next: Option<&Member<'_>>, label: u32, key: &str) -> Option<String> {
    match next.filter(|next| is_label(next, key)) {
        None if label == UNLABELLED => None,
        None => Some(format!("the index says label {label}, the tar has none")),
        Some(next) if label_of(next, key) == Some(label) => None,
        Some(next) => {
            let found = String::from_utf8_lossy(&next.data[..next.data.len().min(20)]);
            let stated = match label {
                UNLABELLED => "none".to_owned(),
                label => label.to_string(),
            };
            Some(format!("the tar says label {found:?}, the index {stated}"))
        }
    }
}

fn is_label(member: &Member<'_>, key: &str) -> bool {
    member.name.strip_suffix(b".cls") == Some(key.as_bytes())
}
