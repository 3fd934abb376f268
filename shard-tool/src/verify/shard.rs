//! A shard, opened for inspection: whatever is missing or damaged, the rest is looked at.

use std::path::Path;

use shard_format::image_header::{Content, identify};
use shard_format::members::{Member, MemberKind};
use shard_format::walk::{Step, walk};
use shard_format::{
    Entry, FormatError, Index, IndexBuilder, MappedFile, ShardManifest, UNLABELLED,
};

use super::defect::{Cause, Defect, reason};
use crate::report::counted;

/// A shard and its index, as far as they are there.
#[derive(Debug)]
pub(super) struct Shard<'a> {
    /// Position in the list of all shards.
    pub(super) number: u32,
    pub(super) split: &'a str,
    pub(super) manifest: &'a ShardManifest,
    pub(super) tar: Option<MappedFile>,
    pub(super) index: Option<Index>,
    /// Whether the index was made anew from the tar, since the file is of no use.
    pub(super) rebuilt: bool,
}

impl<'a> Shard<'a> {
    /// Opens what can be opened and adds what cannot to `defects`.
    pub(super) fn open(
        dir: &Path,
        number: u32,
        split: &'a str,
        manifest: &'a ShardManifest,
        defects: &mut Vec<Defect>,
    ) -> Self {
        let mut shard = Self {
            number,
            split,
            manifest,
            tar: None,
            index: None,
            rebuilt: false,
        };
        // A name that is not of this form may lead out of the folder: the manifest's fault, told there.
        if manifest.has_plain_names() {
            shard.open_files(dir, defects);
        }
        shard
    }

    fn open_files(&mut self, dir: &Path, defects: &mut Vec<Defect>) {
        let manifest = self.manifest;
        match MappedFile::of_shard(dir, manifest) {
            Ok(tar) => self.tar = Some(tar),
            Err(error) => {
                let lost = counted(manifest.num_samples, "sample");
                let reason = format!("{}, and {lost} with it", reason(&error));
                defects.push(Defect::of_file(Cause::File, &manifest.file, reason));
            }
        }
        let path = dir.join(&manifest.index_file);
        match open_index(&path) {
            Ok(index) => self.index = Some(index),
            Err(error) => {
                let cause = match error {
                    FormatError::MissingFile { .. } | FormatError::Read { .. } => Cause::File,
                    _ => Cause::Index,
                };
                defects.push(Defect::of_file(cause, &manifest.index_file, reason(&error)));
                self.index = self.tar.as_ref().and_then(|tar| rebuild(tar, &path));
                self.rebuilt = self.index.is_some();
            }
        }
    }

    /// Whether tar and index are there, the latter as it was written.
    pub(super) fn is_complete(&self) -> bool {
        self.tar.is_some() && self.index.is_some() && !self.rebuilt
    }

    /// How many samples there are to look at: none without a tar.
    pub(super) fn num_at_hand(&self) -> u64 {
        self.tar.as_ref().map_or(0, |_| self.num_entries())
    }

    /// How many entries the index has; none if there is no index.
    pub(super) fn num_entries(&self) -> u64 {
        self.index.as_ref().map_or(0, Index::num_entries)
    }

    /// Entry and key, if they are there and make sense.
    pub(super) fn entry(&self, number: u64) -> Option<(Entry, &str)> {
        self.index.as_ref()?.entry(number).ok()
    }

    /// The bytes that an entry points to, if they lie in the tar.
    pub(super) fn image(&self, entry: &Entry) -> Option<&[u8]> {
        let end = entry.offset.checked_add(u64::from(entry.length))?;
        let range = usize::try_from(entry.offset).ok()?..usize::try_from(end).ok()?;
        self.tar.as_ref()?.get(range)
    }
}

fn open_index(path: &Path) -> Result<Index, FormatError> {
    let index = Index::open(path)?;
    index.check()?;
    Ok(index)
}

/// An index of the images in the tar, labelled by the members behind them.
fn rebuild(tar: &[u8], path: &Path) -> Option<Index> {
    let mut builder = IndexBuilder::default();
    let mut members = walk(tar).filter_map(file).peekable();
    while let Some(member) = members.next() {
        let name = String::from_utf8(member.name.into_owned()).ok();
        let stem = name.as_deref().and_then(|name| name.rsplit_once('.'));
        let (Some((key, _)), Content::Image(header)) = (stem, identify(member.data)) else {
            continue;
        };
        let label = members.peek().and_then(|next| label_of(next, key));
        let entry = Entry {
            offset: member.data_offset,
            length: u32::try_from(member.data.len()).ok()?,
            crc: crc32fast::hash(member.data),
            label: label.unwrap_or(UNLABELLED),
            header,
        };
        let fits = key.len() <= shard_format::name::MAX_KEY_BYTES && builder.has_room_for(key);
        if fits {
            builder.push(&entry, key);
        }
    }
    let bytes = builder.to_bytes(tar.len() as u64, xxhash_rust::xxh3::xxh3_64(tar));
    Index::from_bytes(&bytes, path).ok()
}

fn file(step: Step<'_>) -> Option<Member<'_>> {
    match step {
        Step::Member(member) if member.kind == MemberKind::Regular => Some(member),
        _ => None,
    }
}

/// The label that this member gives to `key`, if it is its label at all.
pub(super) fn label_of(member: &Member<'_>, key: &str) -> Option<u32> {
    if member.name.strip_suffix(b".cls") != Some(key.as_bytes()) {
        return None;
    }
    std::str::from_utf8(member.data).ok()?.parse().ok()
}
