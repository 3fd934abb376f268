//! Tar archives, read where they are: every image becomes a range of bytes of the archive, nothing is unpacked.
//!
//! Members belong where files of their paths would (`source::layout`); a tar inside of the archive is a folder called like it
//! (`ILSVRC2012_img_train.tar`); members without folder get their classes from the labels (`ILSVRC2012_img_val.tar`). The
//! headers are read twice, since the first member does not tell what the last one is. A stream (`-`) is kept in an unnamed
//! file while it is packed.

use std::borrow::Cow;
use std::fs::File;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use shard_format::MappedFile;
use shard_format::members::{Damage, Fault, Member, MemberKind, Members};

use super::contents::Source;
use super::labels::Labels;
use super::layout::{Layout, Survey};
use super::lines::is_image_name;
use super::listing::{Listing, Origin};
use super::location::{Archive, Span};
use super::skipped::{NOT_A_FILE, why_hidden};
use super::splits::{TRAIN, VAL};
use crate::error::ToolError;
use crate::report::counts::last_good;
use crate::system::drop_behind::DropBehind;

mod spool;

/// What stands for standard input.
const STDIN: &str = "-";

const LINK_IN_ARCHIVE: &str =
    "a link in an archive, which is not followed: unpack the archive to pack what it leads to";
/// Why members after damage are missing.
const AFTER_DAMAGE: &str =
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
    let tar = MappedFile::of(&file, path)?;
    let (layout, has_labels) = survey(path, &tar, reading.allow_damaged)?;
    if layout.num_files == 0 {
        let what = "the archive holds no file";
        return Err(ToolError::data(what, path.display(), "check the path"));
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
    let archive = Archive::new(file, digest).map_err(ToolError::read(path))?;
    let number = source.catalogue.add_archive(archive);
    let mut members = MembersOf {
        path,
        tar: &tar,
        number,
        allow_damaged: reading.allow_damaged,
        class,
        inner: None,
        num_inner: 0,
        listing: Listing::new(path, layout, split_of(path), reading.labels, source),
    };
    members.add_tar(0..tar.len())?;
    members.listing.end();
    Ok(())
}

pub(super) fn is_archive(path: &Path) -> bool {
    let is_tar = path.extension().is_some_and(|extension| extension == "tar");
    path.as_os_str() == STDIN || (is_tar && !path.is_dir())
}

/// Calls `visit` for each whole member of a part of an archive, with its normal path; gives the damage that ends it early, and what is
/// there of the member that goes beyond the end. A hole of zeros over a header, or a stream that broke off between two members,
/// would else pass for the end.
///
/// # Errors
/// Those of `visit`.
fn each<'t>(
    tar: &'t MappedFile,
    part: Range<usize>,
    visit: &mut dyn FnMut(&Member<'t>) -> Result<(), ToolError>,
) -> Result<Option<(Damage, Option<Member<'t>>)>, ToolError> {
    let bytes = &tar[part.clone()];
    let mut members = Members::new(bytes);
    let mut passed = DropBehind::new(tar);
    while let Some(member) = members.next() {
        match member {
            Ok(mut member) => {
                let data = part.start + member.data_offset as usize;
                passed.read(part.start + member.header_offset as usize..data);
                member.name = normal(&member.name).into();
                visit(&member)?;
            }
            Err(damage) => {
                let cut = members.cut_member().map(|cut| Member {
                    name: normal(&cut.name).into(),
                    ..cut
                });
                return Ok(Some((damage, cut)));
            }
        }
    }
    let end = members.position() as usize;
    let is_end = bytes[end..].iter().all(|byte| *byte == 0);
    Ok((!is_end).then(|| (members.damage_at_end(), None)))
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
fn survey(path: &Path, tar: &MappedFile, allow_damaged: bool) -> Result<(Layout, bool), ToolError> {
    let (mut survey, mut has_labels) = (Survey::default(), false);
    let mut look_at = |member: &Member<'_>| {
        if member.kind == MemberKind::Regular && why_hidden_in(&member.name).is_none() {
            let is_image = is_image_name(&member.name) || is_tar(&member.name);
            survey.add(&as_folder(&member.name), is_image);
            has_labels |= member.name.ends_with(b".cls");
        }
        Ok(())
    };
    match each(tar, 0..tar.len(), &mut look_at)? {
        Some((damage, _)) if !allow_damaged || is_no_tar(&damage) => {
            return Err(damaged(path, None, &damage, 0));
        }
        Some((_, Some(cut))) => look_at(&cut)?,
        _ => {}
    }
    Ok((survey.layout(), has_labels))
}

/// The members of an archive on their way into a listing.
struct MembersOf<'a> {
    path: &'a Path,
    tar: &'a MappedFile,
    number: u32,
    allow_damaged: bool,
    /// The folder that the archive stands for, if its name is that of a class.
    class: Option<Vec<u8>>,
    /// The tar inside of the archive that is being listed: its path without extension.
    inner: Option<Vec<u8>>,
    num_inner: u32,
    listing: Listing<'a>,
}

impl MembersOf<'_> {
    /// Adds the members of a part of the archive up to its end, or to its damage if that is allowed.
    fn add_tar(&mut self, part: Range<usize>) -> Result<(), ToolError> {
        let (tar, start) = (self.tar, part.start);
        let damage = each(tar, part, &mut |member| self.add(member, start))?;
        let Some((damage, cut)) = damage else {
            return Ok(());
        };
        let inner = self.inner.as_deref();
        if !self.allow_damaged {
            return Err(damaged(self.path, inner, &damage, start));
        }
        let place = place_of(self.path, inner, &damage, start);
        let shown = format!("{place} ({})", damage.fault);
        self.listing.source.skips.add(AFTER_DAMAGE, shown);
        match cut {
            // Its members before the cut are whole.
            Some(member) if self.is_inner_tar(&member) => self.add(&member, start),
            _ => Ok(()),
        }
    }

    fn is_inner_tar(&self, member: &Member<'_>) -> bool {
        self.class.is_none() && self.inner.is_none() && is_tar(&member.name)
    }

    /// Adds a member of the part that starts at `start`.
    fn add(&mut self, member: &Member<'_>, start: usize) -> Result<(), ToolError> {
        let offset = start + member.data_offset as usize;
        let data = offset..offset + member.data.len();
        if member.kind == MemberKind::Folder {
            return Ok(());
        }
        if let Some(why) = why_hidden_in(&member.name) {
            self.skip(why, &member.name);
            return Ok(());
        }
        match member.kind {
            MemberKind::Regular if self.is_inner_tar(member) => {
                return self.add_inner(member, data);
            }
            MemberKind::Regular => return self.add_file(&member.name, data),
            MemberKind::Special(what) if what.ends_with("link") => {
                self.skip(LINK_IN_ARCHIVE, &member.name);
            }
            _ => self.skip(NOT_A_FILE, &member.name),
        }
        Ok(())
    }

    fn add_inner(&mut self, member: &Member<'_>, data: Range<usize>) -> Result<(), ToolError> {
        let path = member.name.strip_suffix(b".tar").unwrap_or(&member.name);
        self.inner = Some(path.to_vec());
        self.num_inner += 1;
        let added = self.add_tar(data);
        self.inner = None;
        added
    }

    fn add_file(&mut self, name: &[u8], data: Range<usize>) -> Result<(), ToolError> {
        let (inner, number) = (self.inner.as_deref(), self.number);
        let tar = shown(self.path, inner);
        let span = Span {
            offset: data.start as u64,
            num_bytes: data.len() as u64,
        };
        let origin = Origin::Member {
            number,
            part: (inner.map_or(0, |_| self.num_inner), &tar),
            name,
            span,
        };
        let listing = &mut self.listing;
        if let Some(class) = &self.class {
            let class = String::from_utf8_lossy(class).into_owned();
            let group = listing.group(listing.default_split, Some(class), origin, b"");
            let catalogue = &mut listing.source.catalogue;
            return catalogue.add_member(group, name, span);
        }
        let path = match inner {
            Some(inner) => [inner, name].join(&b'/'),
            None => name.to_vec(),
        };
        listing.add(&path, origin)
    }

    fn skip(&mut self, reason: &str, name: &[u8]) {
        let tar = shown(self.path, self.inner.as_deref());
        let shown = format!("{tar}:{}", String::from_utf8_lossy(name));
        self.listing.source.skips.add(reason, shown);
    }
}

/// How messages name a tar: `photos.tar`, or `photos.tar:cat.tar` for one inside.
fn shown(path: &Path, inner: Option<&[u8]>) -> String {
    match inner {
        Some(inner) => format!("{}:{}.tar", path.display(), String::from_utf8_lossy(inner)),
        None if path.as_os_str() == STDIN => "standard input".to_owned(),
        None => path.display().to_string(),
    }
}

/// Whether the file is no tar at all, so that there is no part before the damage.
fn is_no_tar(damage: &Damage) -> bool {
    let begins_otherwise = matches!(damage.fault, Fault::Compressed(_) | Fault::HeaderChecksum);
    begins_otherwise && damage.offset == 0
}

fn damaged(path: &Path, inner: Option<&[u8]>, damage: &Damage, start: usize) -> ToolError {
    let (what, remedy) = match damage.fault {
        Fault::Compressed(_) => ("this is no tar", "decompress it first"),
        _ if is_no_tar(damage) => ("this does not begin as a tar does", "check the path"),
        _ => (
            "the archive is damaged",
            "download or copy it again, or use what is before with --allow-damaged",
        ),
    };
    let what = format!("{what}: {}", damage.fault);
    ToolError::data(what, place_of(path, inner, damage, start), remedy)
}

fn place_of(path: &Path, inner: Option<&[u8]>, damage: &Damage, start: usize) -> String {
    let start = start as u64;
    let last = damage.last_good.as_ref();
    let last = last.map(|(name, offset)| (name.clone(), offset + start));
    let tar = shown(path, inner);
    match damage.offset + start {
        0 => tar,
        offset => format!("{tar} at offset {offset}, {}", last_good(last.as_ref())),
    }
}

fn is_tar(path: &[u8]) -> bool {
    path.ends_with(b".tar")
}

/// Folders that are hidden hide what is in them.
fn why_hidden_in(path: &[u8]) -> Option<&'static str> {
    path.split(|byte| *byte == b'/').find_map(why_hidden)
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
