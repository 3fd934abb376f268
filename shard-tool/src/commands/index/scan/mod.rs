//! One tar, from its first byte to its last.

use std::ops::Range;
use std::path::{Path, PathBuf};

use image_decode::content_name;
use shard_format::grouping::{is_metadata, split_member_name};
use shard_format::image_header::{Content, identify};
use shard_format::members::{Damage, Fault, Member, MemberKind, Members};
use shard_format::name::MAX_KEY_BYTES;
use shard_format::{FoundSample, ImageHeader, MappedFile, ShardIndexer};
use xxhash_rust::xxh3::Xxh3;

use super::labels::{LabelFault, Labels};
use super::sample::{Field, OpenSample};
use crate::error::ToolError;
use crate::packing::transcode::why_not_packed;
use crate::report::counts::{Reasons, last_good};
use crate::report::progress::Progress;
use crate::system::drop_behind::DropBehind;

/// What walking through one tar needs.
#[derive(Debug)]
pub(super) struct Scan<'s> {
    pub(super) dir: &'s Path,
    pub(super) file: &'s str,
    /// Size of the tars before this one, bytes.
    pub(super) bytes_before: u64,
    pub(super) allow_damaged: bool,
    pub(super) labels: &'s mut Labels,
    pub(super) notes: &'s mut Reasons,
    pub(super) progress: &'s mut Progress,
}

/// What comes of one tar.
#[derive(Default)]
pub(super) struct Scanned {
    pub(super) found: ShardIndexer,
    pub(super) num_samples: u64,
    pub(super) digest: Xxh3,
    /// Bytes that are in the digest.
    num_digested: usize,
}

impl Scan<'_> {
    /// Walks through the tar.
    pub(super) fn run(&mut self, tar: &MappedFile) -> Result<Scanned, ToolError> {
        let (mut scanned, mut passed) = (Scanned::default(), DropBehind::new(tar));
        let mut members = Members::new(tar);
        let mut open: Option<OpenSample<'_>> = None;
        let mut is_whole = true;
        while let Some(member) = members.next() {
            match member {
                Ok(member) => self.take(&member, &mut open, &mut scanned)?,
                Err(damage) => {
                    self.accept(damage)?;
                    is_whole = false;
                    // What was cut off may have been its label.
                    open = open.filter(OpenSample::has_label);
                }
            }
            passed.read(scanned.digest_up_to(members.position(), tar));
        }
        self.close(open, &mut scanned)?;
        let rest = &tar[members.position() as usize..];
        if is_whole && rest.iter().any(|byte| *byte != 0) {
            self.note(
                "shards with bytes after the end marker, which are not read",
                "",
            );
        }
        passed.read(scanned.digest_up_to(tar.len() as u64, tar));
        Ok(scanned)
    }

    /// Adds a member to the open sample, or ends that and opens another.
    fn take<'a>(
        &mut self,
        member: &Member<'a>,
        open: &mut Option<OpenSample<'a>>,
        scanned: &mut Scanned,
    ) -> Result<(), ToolError> {
        if member.kind == MemberKind::Folder {
            return Ok(());
        }
        let name = self.name_of(member)?;
        if matches!(member.kind, MemberKind::Special(_)) {
            self.note("links and devices, which readers pass over", name);
            return Ok(());
        }
        if is_metadata(name) {
            return Ok(());
        }
        let Some((key, extension)) = split_member_name(name) else {
            self.note("members without extension, which belong to no sample", name);
            return Ok(());
        };
        if member.kind == MemberKind::Sparse {
            self.note("members with holes, which cannot be mapped", name);
            return Ok(());
        }
        if open.as_ref().is_none_or(|sample| sample.key != key) {
            let before = open.replace(OpenSample::new(key, member.header_offset));
            self.close(before, scanned)?;
        }
        let sample = open.as_mut().expect("was opened");
        if let Err(first) = sample.add(extension, member) {
            let offsets = format!("{name} at offsets {first} and {}", member.header_offset);
            self.note(
                "members twice in a sample, of which the first counts",
                &offsets,
            );
        }
        Ok(())
    }

    fn name_of<'m>(&self, member: &'m Member<'_>) -> Result<&'m str, ToolError> {
        std::str::from_utf8(&member.name).map_err(|_| {
            let (name, offset) = (member.name.escape_ascii(), member.header_offset);
            ToolError::data(
                "the name of a member is not UTF-8",
                format_args!("{} at offset {offset}: {name}", self.path().display()),
                "rename that file and write the shard again",
            )
        })
    }

    /// Adds a sample that has all of its members.
    fn close(
        &mut self,
        sample: Option<OpenSample<'_>>,
        scanned: &mut Scanned,
    ) -> Result<(), ToolError> {
        let Some(sample) = sample else {
            return Ok(());
        };
        let Some((field, header, length)) = self.image_of(&sample) else {
            return Ok(());
        };
        scanned.found.append(&FoundSample {
            key: &sample.key,
            offset: field.data_offset,
            length,
            crc: crc32fast::hash(field.data),
            header,
            label: self.label_of(&sample)?,
        })?;
        scanned.num_samples += 1;
        let num_bytes = self.bytes_before + scanned.num_digested as u64;
        self.progress.step(num_bytes);
        Ok(())
    }

    /// The first usable image; what hinders is noted.
    fn image_of<'f, 'a>(
        &mut self,
        sample: &'f OpenSample<'a>,
    ) -> Option<(&'f Field<'a>, ImageHeader, u32)> {
        let at = format!("{} at offset {}", sample.key, sample.offset);
        if sample.key.len() > MAX_KEY_BYTES {
            self.note("samples skipped: the key is longer than 65,535 bytes", &at);
            return None;
        }
        let mut problem = "without image".to_owned();
        for field in sample.images() {
            problem = match (identify(field.data), u32::try_from(field.data.len())) {
                (_, Err(_)) => "the image is larger than 4 GiB".to_owned(),
                (Content::Image(header), Ok(length)) => return Some((field, header, length)),
                (Content::Damaged { detected, problem }, _) => {
                    format!("{detected} with an unusable header ({problem})")
                }
                (Content::Other, _) => {
                    let option = Some("shard-tool pack --transcode");
                    why_not_packed(content_name(field.data), option)
                }
            };
        }
        self.note(&format!("samples skipped: {problem}"), &at);
        None
    }

    fn label_of(&mut self, sample: &OpenSample<'_>) -> Result<Option<u32>, ToolError> {
        let (cls, json) = (sample.content("cls"), sample.content("json"));
        let reason = match self.labels.label_of(cls, json) {
            Ok(label) => return Ok(label),
            Err(LabelFault::NoClass { label, num_classes }) => {
                let (path, key) = (self.path(), sample.key.escape_debug());
                return Err(ToolError::data(
                    format_args!("label {label} has no class, there are {num_classes}"),
                    format_args!("{} key {key} at offset {}", path.display(), sample.offset),
                    "name all classes in a file (--classes)",
                ));
            }
            Err(LabelFault::Unusable) => "samples left unlabelled: the label is no class",
            Err(LabelFault::Json) => {
                "samples left unlabelled: the .json is no JSON, or lacks the field"
            }
        };
        let at = format!("{} at offset {}", sample.key, sample.offset);
        self.note(reason, &at);
        Ok(None)
    }

    /// Goes on with what is whole, if that was asked for.
    fn accept(&mut self, damage: Damage) -> Result<(), ToolError> {
        let (fault, offset) = (damage.fault, damage.offset);
        let last_good = last_good(damage.last_good.as_ref());
        let is_compressed = matches!(fault, Fault::Compressed(_));
        if !self.allow_damaged || is_compressed {
            return Err(ToolError::data(
                format_args!("the tar is damaged: {fault}"),
                format_args!("{} at offset {offset}, {last_good}", self.path().display()),
                match is_compressed {
                    true => "decompress it first",
                    false => "copy the shard again, or use what is before with --allow-damaged",
                },
            ));
        }
        let at = format!("{fault}, at offset {offset}, {last_good}");
        self.note(
            "damaged shards, of which the part before the damage is used",
            &at,
        );
        Ok(())
    }

    fn note(&mut self, reason: &str, what: &str) {
        let case = format!("{} {what}", self.file);
        self.notes.add(reason, case.trim_end().escape_debug());
    }

    fn path(&self) -> PathBuf {
        self.dir.join(self.file)
    }
}

impl Scanned {
    /// Takes the bytes from where it was up to `position` into the digest.
    fn digest_up_to(&mut self, position: u64, tar: &[u8]) -> Range<usize> {
        let bytes = self.num_digested..position as usize;
        self.digest.update(&tar[bytes.clone()]);
        self.num_digested = bytes.end;
        bytes
    }
}

#[cfg(test)]
mod tests;
