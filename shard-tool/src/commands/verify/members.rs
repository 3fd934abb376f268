//! The index against the members of the tar: names, offsets, sizes, labels.
//!
//! A shard that we have written holds `<key>.jpg` or `<key>.png` and after it `<key>.cls`. One that was indexed where it lay
//! may call and order its members in any way that [`shard_format::grouping`] knows; there the image of an entry must lie where
//! the index says and belong to its key, and labels are not compared: only `shard-tool index` reads them.
//!
//! What lies in the tar beside the samples is no part of the set. It is noted, and it is a defect only
//! where the tar is not what the manifest says.

use shard_format::grouping::split_member_name;
use shard_format::members::{Member, MemberKind, Members};
use shard_format::{Entry, UNLABELLED};

use super::defect::{Cause, Defect};
use super::shard::{Shard, label_of};
use crate::report::counts::{counted, last_good};
use crate::system::drop_behind::DropBehind;

/// Walks the tar and compares; adds to `defects` and `notes`.
pub(super) fn check(
    shard: &Shard<'_>,
    as_stated: bool,
    defects: &mut Vec<Defect>,
    notes: &mut Vec<String>,
) {
    let Some(tar) = &shard.tar else { return };
    let file = &shard.manifest.file;
    let (mut comparison, mut passed) = (Comparison::new(shard), DropBehind::new(tar));
    for member in Members::going_on(tar) {
        match member {
            Ok(member) => {
                passed.read(member.header_offset as usize..member.data_offset as usize);
                comparison.take(&member);
            }
            Err(damage) => {
                let (offset, last) = (damage.offset, last_good(damage.last_good.as_ref()));
                let problem = format!("{}, {last}", damage.fault);
                if as_stated {
                    notes.push(format!(
                        "{file} offset {offset}: {problem}; the manifest vouches for these bytes"
                    ));
                } else {
                    defects.push(Defect::at(Cause::Tar, shard, offset, problem));
                }
            }
        }
    }
    let num_unknown = comparison.end(defects);
    if num_unknown > 0 && !shard.rebuilt {
        let members = counted(num_unknown, "member");
        notes.push(format!(
            "{file}: {members} of the tar are not in the index, and so not part of the set"
        ));
    }
}

/// Index and tar, compared while the walk goes on.
struct Comparison<'s> {
    shard: &'s Shard<'s>,
    /// All entries in the order of their offsets.
    numbers: Vec<u32>,
    /// How many of them lie before the walk.
    num_passed: usize,
    /// Those whose image was the last member, and whose label the next one should be.
    awaiting_label: Vec<u32>,
    /// The last members, as far as they have the same key; in shards that somebody else has written.
    group: Group,
    /// Members that belong to no sample of the index.
    num_unknown: u64,
    defects: Vec<Defect>,
}

/// Consecutive members with the same key.
#[derive(Debug, Default)]
struct Group {
    key: String,
    num_members: u64,
    /// Whether one of them is the image of an entry.
    is_listed: bool,
}

impl<'s> Comparison<'s> {
    fn new(shard: &'s Shard<'s>) -> Self {
        let offset = |number: &u32| shard.entry((*number).into()).map(|(entry, _)| entry.offset);
        let mut numbers: Vec<u32> = (0..shard.num_entries() as u32).collect();
        numbers.retain(|number| offset(number).is_some());
        numbers.sort_by_key(offset);
        Self {
            shard,
            numbers,
            num_passed: 0,
            awaiting_label: Vec::new(),
            group: Group::default(),
            num_unknown: 0,
            defects: Vec::new(),
        }
    }

    fn take(&mut self, member: &Member<'_>) {
        let is_label = self.take_label(Some(member));
        self.pass(member.data_offset);
        let num_passed = self.num_passed;
        while let Some((number, entry, key)) = self.next_entry()
            && entry.offset == member.data_offset
        {
            self.num_passed += 1;
            if let Some(reason) = member_fault(member, &entry, key, self.shard.in_place.is_some()) {
                self.tell(Cause::Member, number, reason);
            }
            if self.shard.in_place.is_none() {
                self.awaiting_label.push(number);
            }
        }
        let is_listed = is_label || self.num_passed > num_passed;
        match self.shard.in_place.is_some() {
            true => self.count_in_group(member, is_listed),
            false => self.num_unknown += u64::from(!is_listed),
        }
    }

    /// Ends the comparison; the number of members that belong to no sample.
    fn end(mut self, defects: &mut Vec<Defect>) -> u64 {
        self.take_label(None);
        self.pass(u64::MAX);
        self.end_group();
        defects.append(&mut self.defects);
        self.num_unknown
    }

    fn next_entry(&self) -> Option<(u32, Entry, &'s str)> {
        let number = *self.numbers.get(self.num_passed)?;
        let (entry, key) = self.shard.entry(number.into())?;
        Some((number, entry, key))
    }

    /// No member starts where the entries before `offset` say.
    fn pass(&mut self, offset: u64) {
        while let Some((number, entry, _)) = self.next_entry()
            && entry.offset < offset
        {
            self.num_passed += 1;
            // Where the tar has ended already, the missing bytes are told.
            if self.shard.image(&entry).is_some() {
                let reason = "no sound member of the tar starts here".to_owned();
                self.tell(Cause::Member, number, reason);
            }
        }
    }

    /// Compares the labels of the last image with the member after it; whether that is a label.
    fn take_label(&mut self, next: Option<&Member<'_>>) -> bool {
        let mut is_label = false;
        for number in std::mem::take(&mut self.awaiting_label) {
            let (entry, key) = self.shard.entry(number.into()).expect("it was read before");
            let next = next.filter(|next| next.name.strip_suffix(b".cls") == Some(key.as_bytes()));
            is_label |= next.is_some();
            if let Some(reason) = label_fault(next, entry.label, key) {
                self.tell(Cause::Label, number, reason);
            }
        }
        is_label
    }

    fn count_in_group(&mut self, member: &Member<'_>, is_listed: bool) {
        // Readers pass over folders, so that these do not end a sample.
        if member.kind == MemberKind::Folder {
            return;
        }
        let key = key_of(member).unwrap_or_default();
        if key.is_empty() || self.group.key != key {
            self.end_group();
            key.clone_into(&mut self.group.key);
        }
        self.group.num_members += 1;
        self.group.is_listed |= is_listed;
    }

    fn end_group(&mut self) {
        let group = std::mem::take(&mut self.group);
        if !group.is_listed {
            self.num_unknown += group.num_members;
        }
    }

    fn tell(&mut self, cause: Cause, number: u32, reason: String) {
        let defect = Defect::of_sample(cause, self.shard, number.into(), reason);
        self.defects.push(defect);
    }
}

/// The key that readers give to a member.
fn key_of<'m>(member: &'m Member<'_>) -> Option<&'m str> {
    let name = std::str::from_utf8(&member.name).ok()?;
    split_member_name(name).map(|(key, _)| key)
}

fn member_fault(member: &Member<'_>, entry: &Entry, key: &str, in_place: bool) -> Option<String> {
    let is_called_so = match in_place {
        true => member.kind == MemberKind::Regular && key_of(member) == Some(key),
        false => {
            let name = format!("{key}.{}", entry.header.kind.extension());
            member.name == name.as_bytes()
        }
    };
    if !is_called_so {
        let found = String::from_utf8_lossy(&member.name);
        return Some(format!("the tar calls this member `{found}`"));
    }
    let found = member.data.len();
    (found as u64 != u64::from(entry.length)).then(|| {
        let stated = entry.length;
        format!("the member has {found} bytes, the index says {stated}")
    })
}

fn label_fault(label_member: Option<&Member<'_>>, label: u32, key: &str) -> Option<String> {
    match label_member {
        None if label == UNLABELLED => None,
        None => Some(format!("the index says label {label}, the tar has none")),
        Some(member) if label_of(member, key) == Some(label) => None,
        Some(member) => {
            let found = String::from_utf8_lossy(&member.data[..member.data.len().min(20)]);
            let stated = match label {
                UNLABELLED => "none".to_owned(),
                label => label.to_string(),
            };
            Some(format!("the tar says label {found:?}, the index {stated}"))
        }
    }
}
