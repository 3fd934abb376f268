//! A shard, opened for inspection: whatever is missing or damaged, the rest is looked at.

use std::fs;
use std::path::Path;

use shard_format::image_header::{Content, identify};
use shard_format::members::{Member, MemberKind, Members};
use shard_format::{
    Entry, ErrorKind, Fault, FormatError, Index, IndexBuilder, IndexedInPlace, MappedFile,
    ShardManifest, UNLABELLED, map_shard, modified_ns,
};
use xxhash_rust::xxh3::xxh3_64;

use super::digest::{hex, of_tar};
use crate::error::{ToolError, again};
use crate::report::counts::counted;
use crate::system::drop_behind::DropBehind;

/// A file that is of no use.
#[derive(Debug)]
pub(super) struct Unusable<'a> {
    pub(super) file: &'a str,
    /// Whether it is missing or cannot be read, so that nothing is known of what is in it.
    pub(super) is_lacking: bool,
    pub(super) reason: String,
}

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
    /// How it was indexed, if somebody else has written the tar.
    pub(super) in_place: Option<&'a IndexedInPlace>,
    /// When such a tar was last written to before it was opened, ns since 1970.
    pub(super) modified_ns: Option<i64>,
    /// Whether the system refused to read the tar, which says nothing of what is in it.
    pub(super) is_unreadable: bool,
}

impl<'a> Shard<'a> {
    /// Opens what can be opened and adds what cannot to `unusable`.
    ///
    /// # Errors
    /// If a resource is short, which is no defect of the set.
    pub(super) fn open(
        dir: &Path,
        number: u32,
        split: &'a str,
        manifest: &'a ShardManifest,
        in_place: Option<&'a IndexedInPlace>,
        unusable: &mut Vec<Unusable<'a>>,
    ) -> Result<Self, ToolError> {
        let mut shard = Self {
            number,
            split,
            manifest,
            tar: None,
            index: None,
            rebuilt: false,
            in_place,
            modified_ns: None,
            is_unreadable: false,
        };
        // A name that is not of this form may lead out of the folder: the manifest's fault, told there.
        if manifest.has_plain_names() {
            shard.open_files(dir, unusable)?;
        }
        Ok(shard)
    }

    fn open_files(
        &mut self,
        dir: &Path,
        unusable: &mut Vec<Unusable<'a>>,
    ) -> Result<(), ToolError> {
        let manifest = self.manifest;
        // Asked before it is read: what is written to it meanwhile is noticed later.
        if self.in_place.is_some() {
            let metadata = fs::metadata(dir.join(&manifest.file));
            self.modified_ns = metadata.ok().as_ref().map(modified_ns);
        }
        match map_shard(dir, manifest) {
            Ok(tar) => self.tar = Some(tar),
            Err(error) if error.kind() == ErrorKind::Resources => return Err(error.into()),
            Err(error) => {
                self.is_unreadable = error.fault() == Fault::Read;
                let lost = counted(manifest.num_samples, "sample");
                unusable.push(Unusable {
                    file: &manifest.file,
                    is_lacking: true,
                    reason: format!("{}, and {lost} with it", error.what()),
                });
            }
        }
        let path = dir.join(&manifest.index_file);
        match open_index(&path) {
            Ok(index) => self.index = Some(index),
            Err(error) if error.kind() == ErrorKind::Resources => return Err(error.into()),
            Err(error) => unusable.push(self.do_without_index(dir, &error)),
        }
        self.release_index();
        Ok(())
    }

    /// Whether the tar was written to, or copied without its time, since it was indexed where it lies.
    pub(super) fn is_touched(&self) -> bool {
        let noted = self
            .in_place
            .and_then(|in_place| in_place.modified_ns.get(&self.manifest.file));
        noted.is_some_and(|noted| self.modified_ns.is_some_and(|found| found != *noted))
    }

    /// Whether the index is the one that the manifest states, read or made anew.
    pub(super) fn has_stated_index(&self) -> bool {
        let is_stated = |index: &Index| hex(xxh3_64(index.bytes())) == self.manifest.index_xxh3;
        self.index.as_ref().is_some_and(is_stated)
    }

    /// The labels of a shard of ours can be read again; those of others are read by `shard-tool index` alone.
    fn do_without_index(&mut self, dir: &Path, error: &FormatError) -> Unusable<'a> {
        let mut reason = error.what().to_owned();
        if self.in_place.is_some() {
            reason = format!("{reason}: index the set again: {}", again(dir));
        } else {
            let path = dir.join(&self.manifest.index_file);
            self.index = self.tar.as_ref().and_then(|tar| rebuild(tar, &path));
            self.rebuilt = self.index.is_some();
        }
        Unusable {
            file: &self.manifest.index_file,
            is_lacking: matches!(error.fault(), Fault::MissingFile | Fault::Read),
            reason,
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
        self.tar.as_ref()?.get(entry.range()?)
    }

    /// Gives back the memory of what has been read of tar and index.
    pub(super) fn release(&self) {
        if let Some(tar) = &self.tar {
            tar.release(0..tar.len());
        }
        self.release_index();
    }

    /// Gives back the memory of what has been read of the index.
    pub(super) fn release_index(&self) {
        if let Some(index) = &self.index {
            index.release();
        }
    }
}

fn open_index(path: &Path) -> Result<Index, FormatError> {
    let index = Index::open(path)?;
    index.check()?;
    Ok(index)
}

/// An index of the images in the tar, labelled by the members after them.
fn rebuild(tar: &MappedFile, path: &Path) -> Option<Index> {
    let (mut builder, mut passed) = (IndexBuilder::default(), DropBehind::new(tar));
    let members = Members::going_on(tar).flatten();
    let mut members = members
        .filter(|member| member.kind == MemberKind::Regular)
        .peekable();
    while let Some(member) = members.next() {
        let start = member.data_offset as usize;
        passed.read(start..start + member.data.len());
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
    let bytes = builder.to_bytes(tar.len() as u64, of_tar(tar));
    Index::from_bytes(&bytes, path).ok()
}

/// The label that this member gives to `key`, if it is its label at all.
pub(super) fn label_of(member: &Member<'_>, key: &str) -> Option<u32> {
    if member.name.strip_suffix(b".cls") != Some(key.as_bytes()) {
        return None;
    }
    std::str::from_utf8(member.data).ok()?.parse().ok()
}
