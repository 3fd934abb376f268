//! Tar archives, read where they are: every image becomes a range of bytes of the archive, nothing is unpacked.
//!
//! Members belong where files of their paths would ([`layout`]); a tar inside of the archive is a folder called like it
//! (`ILSVRC2012_img_train.tar`); members without folder get their classes from the labels (`ILSVRC2012_img_val.tar`). The
//! headers are read twice, since the first member does not tell what the last one is. A stream (`-`) is kept in an unnamed
//! file while it is packed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use shard_format::name;

use super::labels::{Labels, Said};
use super::lines::{base_name, is_image_name};
use super::{
    Group, HIDDEN, LINK_IN_ARCHIVE, NOT_A_FILE, NOT_IN_LABELS, Place, STDIN, Source, TRAIN, VAL,
    without_labels,
};
use crate::error::ToolError;
use layout::{Layout, Spot, Survey};
use members::{Damage, Kind, Member};
use window::Window;

mod layout;
mod members;
mod spool;
mod window;

/// Why members behind damage are missing.
const BEHIND_DAMAGE: &str =
    "the rest of a damaged archive, of which the part before the damage is used";

/// How archives are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading<'a> {
    /// Where a stream is kept.
    pub(super) spool_dir: &'a Path,
    /// Whether the part of a damaged archive before the damage is used.
    pub(super) allow_damaged: bool,
    pub(super) labels: &'a Labels,
}

/// Adds the images of an archive.
///
/// # Errors
/// If it cannot be read, is damaged, or is a flat `val` and there are no labels.
pub(super) fn add(path: &Path, reading: Reading<'_>, source: &mut Source) -> Result<(), ToolError> {
    let (file, digest) = if path.as_os_str() == STDIN {
        let (file, digest) = spool::spool(reading.spool_dir)?;
        (file, Some(digest))
    } else {
        (File::open(path).map_err(ToolError::read(path))?, None)
    };
    let window = Window::whole(&file).map_err(ToolError::read(path))?;
    let (layout, has_labels) = survey(path, window, reading.allow_damaged)?;
    if layout.num_files == 0 {
        return Err(ToolError::EmptyArchive(path.to_owned()));
    }
    if has_labels {
        let path = path.display();
        let note = format!(
            "{path} has .cls members, as WebDataset shards do; their labels are taken by shard-tool index, not by packing"
        );
        source.notes.push(note);
    }
    let class = class_called(path);
    if let Some(folder) = layout.left_out().filter(|_| class.is_none()) {
        let (path, folder) = (path.display(), String::from_utf8_lossy(&folder));
        let note = format!("in {path}, classes are looked for below `{folder}/`");
        source.notes.push(note);
    }
    let added = file
        .try_clone()
        .and_then(|file| source.catalogue.add_archive(file, digest));
    let number = added.map_err(ToolError::read(path))?;
    let mut listing = Listing {
        path,
        number,
        reading,
        layout,
        default_split: split_of(path),
        class,
        inner: None,
        num_inner: 0,
        num_unlabelled: 0,
        groups: BTreeMap::new(),
        source,
    };
    listing.add_tar(window)?;
    listing.note_unlabelled();
    Ok(())
}

/// The split that the name of an archive tells, as a word of it: `ILSVRC2012_img_val.tar`, but not `carnival.tar`.
fn split_of(archive: &Path) -> &'static str {
    let stem = archive.file_stem().unwrap_or_default().to_string_lossy();
    let stem = stem.to_ascii_lowercase();
    let mut words = stem.split(|letter: char| !letter.is_alphanumeric());
    let is_val = |word: &str| matches!(word, "val" | "validation");
    match words.find(|word| is_val(word) || *word == TRAIN) {
        Some(word) if is_val(word) => VAL,
        _ => TRAIN,
    }
}

/// The folder that an archive stands for which is called like a class of ImageNet (`n01440764.tar`): what unpacking
/// `ILSVRC2012_img_train.tar` gives.
fn class_called(archive: &Path) -> Option<Vec<u8>> {
    let name = archive.file_name()?.as_bytes();
    let digits = name.strip_prefix(b"n")?.strip_suffix(b".tar")?;
    let is_class = digits.len() == 8 && digits.iter().all(u8::is_ascii_digit);
    is_class.then(|| [b"n", digits].concat())
}

/// Looks at all headers of the outer tar; tells also whether there are labels as in WebDataset shards.
fn survey(path: &Path, tar: Window<'_>, allow_damaged: bool) -> Result<(Layout, bool), ToolError> {
    let (mut survey, mut has_labels) = (Survey::default(), false);
    let mut look_at = |member: &Member| {
        if member.kind == Kind::File && !is_hidden(&member.name) {
            let is_image = is_image_name(&member.name) || is_tar(&member.name);
            survey.add(&as_folder(&member.name), is_image);
            has_labels |= member.name.ends_with(b".cls");
        }
        Ok(())
    };
    match members::each(path, tar, &mut look_at)? {
        Some(damage) if !allow_damaged => return Err(damaged(path, None, &damage)),
        Some(Damage {
            cut: Some(member), ..
        }) => look_at(&member)?,
        _ => {}
    }
    Ok((survey.layout(), has_labels))
}

struct Listing<'a> {
    path: &'a Path,
    number: u32,
    reading: Reading<'a>,
    layout: Layout,
    default_split: &'static str,
    /// The folder that the archive stands for, if its name is that of a class.
    class: Option<Vec<u8>>,
    /// The tar inside of the archive that is being listed: its path without extension.
    inner: Option<Vec<u8>>,
    num_inner: u32,
    num_unlabelled: u64,
    /// Groups made so far, by split, class, and number of the inner tar.
    groups: BTreeMap<(&'static str, Option<String>, u32), u32>,
    source: &'a mut Source,
}

impl Listing<'_> {
    /// Adds the members of a tar up to its end, or to its damage if that is allowed.
    fn add_tar(&mut self, tar: Window<'_>) -> Result<(), ToolError> {
        let damage = members::each(self.path, tar, &mut |member| self.add(tar, member))?;
        let Some(damage) = damage else {
            return Ok(());
        };
        if !self.reading.allow_damaged {
            return Err(damaged(self.path, self.inner.as_deref(), &damage));
        }
        let place = place_of(self.path, self.inner.as_deref(), &damage);
        let shown = format!("{place} ({})", damage.problem);
        self.source.skips.add(BEHIND_DAMAGE, Path::new(&shown));
        match damage.cut {
            // Its members before the cut are whole.
            Some(member) if self.is_inner_tar(&member) => self.add(tar, &member),
            _ => Ok(()),
        }
    }

    fn is_inner_tar(&self, member: &Member) -> bool {
        self.class.is_none() && self.inner.is_none() && is_tar(&member.name)
    }

    fn add(&mut self, tar: Window<'_>, member: &Member) -> Result<(), ToolError> {
        match member.kind {
            Kind::Empty => {}
            _ if is_hidden(&member.name) => self.skip(HIDDEN, &member.name),
            Kind::Link => self.skip(LINK_IN_ARCHIVE, &member.name),
            Kind::Other => self.skip(NOT_A_FILE, &member.name),
            Kind::File if self.is_inner_tar(member) => return self.add_inner(tar, member),
            Kind::File => return self.add_file(member),
        }
        Ok(())
    }

    fn add_inner(&mut self, tar: Window<'_>, member: &Member) -> Result<(), ToolError> {
        let path = member.name.strip_suffix(b".tar").unwrap_or(&member.name);
        self.inner = Some(path.to_vec());
        self.num_inner += 1;
        let added = self.add_tar(tar.part(member.span.offset, member.span.num_bytes));
        self.inner = None;
        added
    }

    fn add_file(&mut self, member: &Member) -> Result<(), ToolError> {
        if let Some(class) = &self.class {
            let class = String::from_utf8_lossy(class).into_owned();
            let group = self.group(self.default_split, Some(class));
            let catalogue = &mut self.source.catalogue;
            return catalogue.add_member(group, &member.name, member.span);
        }
        let path = match &self.inner {
            Some(inner) => [inner, &member.name[..]].join(&b'/'),
            None => member.name.clone(),
        };
        let (split, class, below) = match self.layout.spot(&path) {
            Spot::Stray(reason) => {
                self.skip(reason, &member.name);
                return Ok(());
            }
            Spot::Flat(split) => return self.add_flat(split, member),
            Spot::Class {
                split,
                class,
                below,
            } => {
                let class = Some(name::escape_class(class));
                (split.unwrap_or(self.default_split), class, below)
            }
        };
        let group = self.group(split, class);
        self.source.catalogue.add_member(group, &below, member.span)
    }

    /// Adds a member that lies in no class folder.
    fn add_flat(&mut self, split: Option<&'static str>, member: &Member) -> Result<(), ToolError> {
        let split = split.unwrap_or(self.default_split);
        let file = base_name(&member.name);
        self.source.num_flat += 1;
        let class = match self.reading.labels.say(file) {
            Said::Class(class) => Some(class.to_owned()),
            Said::Unknown => {
                self.skip(NOT_IN_LABELS, &member.name);
                return Ok(());
            }
            Said::NoLabels if split == VAL => {
                return Err(ToolError::FlatSplit(self.path.to_owned()));
            }
            Said::NoLabels => {
                self.num_unlabelled += 1;
                None
            }
        };
        let is_by_label = class.is_some();
        let group = self.group(split, class);
        if is_by_label {
            self.source.by_label.insert(group);
        }
        self.source.catalogue.add_member(group, file, member.span)
    }

    fn group(&mut self, split: &'static str, class: Option<String>) -> u32 {
        let inner = self.inner.as_ref().map_or(0, |_| self.num_inner);
        let key = (split, class, inner);
        if let Some(group) = self.groups.get(&key) {
            return *group;
        }
        let place = Place::Archive {
            number: self.number,
            shown: shown(self.path, self.inner.as_deref()),
        };
        let class = key.1.clone();
        let group = self.source.catalogue.add_group(Group {
            split,
            class,
            place,
        });
        self.groups.insert(key, group);
        group
    }

    fn skip(&mut self, reason: &str, name: &[u8]) {
        let tar = shown(self.path, self.inner.as_deref());
        let shown = format!("{tar}:{}", String::from_utf8_lossy(name));
        self.source.skips.add(reason, Path::new(&shown));
    }

    fn note_unlabelled(&mut self) {
        if self.num_unlabelled > 0 {
            let note = without_labels(self.path, self.num_unlabelled);
            self.source.notes.push(note);
        }
    }
}

/// How messages name a tar: `photos.tar`, or `photos.tar:cat.tar` for one inside.
fn shown(path: &Path, inner: Option<&[u8]>) -> String {
    match inner {
        Some(inner) => format!("{}:{}.tar", path.display(), String::from_utf8_lossy(inner)),
        None => path.display().to_string(),
    }
}

fn damaged(path: &Path, inner: Option<&[u8]>, damage: &Damage) -> ToolError {
    ToolError::DamagedArchive {
        problem: damage.problem.clone(),
        place: place_of(path, inner, damage),
    }
}

fn place_of(path: &Path, inner: Option<&[u8]>, damage: &Damage) -> String {
    let last_good = match &damage.last_good {
        Some(member) => format!(
            "last good member {} at offset {}",
            String::from_utf8_lossy(&member.name).escape_debug(),
            member.header_offset
        ),
        None => "no good member before it".to_owned(),
    };
    let tar = shown(path, inner);
    format!("{tar} at offset {}, {last_good}", damage.offset)
}

fn is_tar(path: &[u8]) -> bool {
    path.ends_with(b".tar")
}

/// Folders that are hidden hide what is in them; `..` is no name.
fn is_hidden(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/')
        .any(|part| part.starts_with(b".") && part != b"..")
}

/// The path for the survey: a tar inside of the archive is a folder with something in it.
fn as_folder(path: &[u8]) -> Cow<'_, [u8]> {
    match path.strip_suffix(b".tar") {
        Some(folder) => Cow::Owned([folder, b"members"].join(&b'/')),
        None => Cow::Borrowed(path),
    }
}

/// The path without empty parts and `.`.
fn normal(path: &[u8]) -> Vec<u8> {
    let parts = path.split(|byte| *byte == b'/');
    let named: Vec<&[u8]> = parts
        .filter(|part| !part.is_empty() && *part != b".")
        .collect();
    named.join(&b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_of_val_only_if_a_word_of_its_name_says_so() {
        let split = |name: &str| split_of(Path::new(name));
        for val in ["ILSVRC2012_img_val.tar", "val.tar", "My Validation-1.tar"] {
            assert_eq!(split(val), VAL, "{val}");
        }
        for train in [
            "carnival.tar",
            "interval.tar",
            "train_val.tar",
            "-",
            "val/a.tar",
        ] {
            assert_eq!(split(train), TRAIN, "{train}");
        }
    }
}
