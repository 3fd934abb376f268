//! Tar archives, read where they are: every image becomes a range of bytes of the archive, nothing is unpacked.
//!
//! Members are `[<anything>/]{train,val}/<class>/...` or `<class>/...`, as in folders; a tar inside of the archive is a class
//! called like it (`ILSVRC2012_img_train.tar`); members without folder get their classes from the labels
//! (`ILSVRC2012_img_val.tar`). A stream (`-`) is kept in an unnamed file while it is packed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use shard_format::name;
use xxhash_rust::xxh3::Xxh3;

use super::labels::Labels;
use super::lines::{base_name, without_extension};
use super::{Catalogue, Group, Place, STDIN, Source, Span, TRAIN, VAL};
use crate::disk::free_bytes;
use crate::error::ToolError;
use crate::progress::Count;
use window::Window;

mod window;

/// Where a member belongs: folders of its path without split and class, class.
type Belongs = (&'static str, Option<String>);

/// Adds the images of an archive.
///
/// # Errors
/// If it cannot be read, is damaged, or has images without folder and there are no labels.
pub(super) fn add(
    path: &Path,
    spool_dir: &Path,
    labels: &Labels,
    source: &mut Source,
) -> Result<(), ToolError> {
    let (file, digest) = if path.as_os_str() == STDIN {
        let (file, digest) = spool(spool_dir)?;
        (file, Some(digest))
    } else {
        (File::open(path).map_err(ToolError::read(path))?, None)
    };
    let window = Window::whole(&file).map_err(ToolError::read(path))?;
    let added = file
        .try_clone()
        .and_then(|file| source.catalogue.add_archive(file, digest));
    let number = added.map_err(ToolError::read(path))?;
    let is_val = path
        .file_name()
        .is_some_and(|name| name.to_string_lossy().contains("val"));
    let mut listing = Listing {
        path,
        number,
        labels,
        default_split: if is_val { VAL } else { TRAIN },
        groups: BTreeMap::new(),
        source,
    };
    let before = listing.source.catalogue.len();
    listing.add_members(window, None)?;
    if listing.source.catalogue.len() == before {
        return Err(ToolError::EmptyArchive(path.to_owned()));
    }
    Ok(())
}

/// Copies standard input to an unnamed file in `dir`; also gives a digest of it.
fn spool(dir: &Path) -> Result<(File, u64), ToolError> {
    let mut file = tempfile::tempfile_in(dir).map_err(ToolError::write(dir))?;
    let (mut stdin, mut digest) = (io::stdin().lock(), Xxh3::new());
    let mut buffer = vec![0; 1 << 20];
    let (mut num_bytes, mut count) = (0, Count::new("taking in", "MiB"));
    loop {
        let num_read = stdin
            .read(&mut buffer)
            .map_err(ToolError::read("standard input"))?;
        if num_read == 0 {
            return Ok((file, digest.digest()));
        }
        digest.update(&buffer[..num_read]);
        num_bytes += num_read as u64;
        count.tell(num_bytes >> 20);
        let written = file.write_all(&buffer[..num_read]);
        written.map_err(|error| spool_error(dir, num_bytes, error))?;
    }
}

/// A full disk is told with what was read and what is free.
fn spool_error(dir: &Path, num_bytes: u64, source: io::Error) -> ToolError {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ToolError::SpoolFull {
            dir: dir.to_owned(),
            num_bytes,
            free_bytes: free_bytes(dir).unwrap_or(0),
        },
        _ => ToolError::write(dir)(source),
    }
}

struct Listing<'a> {
    path: &'a Path,
    number: u32,
    labels: &'a Labels,
    default_split: &'static str,
    /// Groups made so far, by where the members belong and what stands before their names.
    groups: BTreeMap<(Belongs, String), u32>,
    source: &'a mut Source,
}

impl Listing<'_> {
    /// Adds the members of a tar; `class` is that of all of them, for a tar inside of another.
    fn add_members(&mut self, tar: Window<'_>, class: Option<&str>) -> Result<(), ToolError> {
        let mut archive = tar::Archive::new(tar);
        let mut last = None;
        let damaged = |last: &Option<String>, error: io::Error| ToolError::DamagedArchive {
            path: self.path.to_owned(),
            class: class.map(str::to_owned),
            last: last.clone(),
            source: error,
        };
        let mut inner = Vec::new();
        let entries = archive
            .entries_with_seek()
            .map_err(|error| damaged(&last, error))?;
        for member in entries {
            let member = member.map_err(|error| damaged(&last, error))?;
            let name = normal(&member.path_bytes());
            let span = Span {
                offset: tar.start() + member.raw_file_position(),
                num_bytes: member.size(),
            };
            let kind = member.header().entry_type();
            if kind.is_dir() {
                continue;
            }
            last = Some(String::from_utf8_lossy(&name).into_owned());
            if !kind.is_file() {
                self.skip("neither a file nor a folder", &name);
            } else if span.offset + span.num_bytes > tar.end() {
                let cut = io::Error::new(io::ErrorKind::UnexpectedEof, "it ends within a member");
                return Err(damaged(&last, cut));
            } else if name.ends_with(b".tar") && class.is_none() {
                inner.push((name, span));
            } else {
                self.add_member(&name, span, class)?;
            }
        }
        inner.into_iter().try_for_each(|(name, span)| {
            let class = name::escape_class(without_extension(base_name(&name)));
            self.add_members(tar.part(span.offset, span.num_bytes), Some(&class))
        })
    }

    fn add_member(
        &mut self,
        name: &[u8],
        span: Span,
        class: Option<&str>,
    ) -> Result<(), ToolError> {
        if base_name(name).starts_with(b".") {
            self.skip("hidden (the name starts with a dot)", name);
            return Ok(());
        }
        let (belongs, below) = match class {
            Some(class) => ((self.default_split, Some(class.to_owned())), name.to_vec()),
            None => match place_of(name, self.default_split) {
                Some(found) => found,
                None => match self.place_by_label(name)? {
                    Some(belongs) => (belongs, name.to_vec()),
                    None => return Ok(()),
                },
            },
        };
        let group = self.group(belongs, class.unwrap_or_default());
        self.source.catalogue.add_member(group, &below, span)
    }

    /// For a member without folder.
    fn place_by_label(&mut self, name: &[u8]) -> Result<Option<Belongs>, ToolError> {
        if self.labels.is_none() {
            return Err(ToolError::FlatSplit(self.path.to_owned()));
        }
        let class = self.labels.class_of(name).map(str::to_owned);
        if class.is_none() {
            self.skip("not in the file of labels", name);
        }
        Ok(class.map(|class| (self.default_split, Some(class))))
    }

    fn group(&mut self, belongs: Belongs, inner_tar: &str) -> u32 {
        let shown = if inner_tar.is_empty() {
            self.path.display().to_string()
        } else {
            format!("{}:{inner_tar}.tar", self.path.display())
        };
        let catalogue: &mut Catalogue = &mut self.source.catalogue;
        let (number, (split, class)) = (self.number, belongs.clone());
        *self
            .groups
            .entry((belongs, shown.clone()))
            .or_insert_with(|| {
                let place = Place::Archive { number, shown };
                catalogue.add_group(Group {
                    split,
                    class,
                    place,
                })
            })
    }

    fn skip(&mut self, reason: &str, name: &[u8]) {
        let shown = format!("{}:{}", self.path.display(), String::from_utf8_lossy(name));
        self.source.skips.add(reason, Path::new(&shown));
    }
}

/// Split and class of a member by the folders of its path, and what is left of the path; `None` without folders.
fn place_of(name: &[u8], default_split: &'static str) -> Option<(Belongs, Vec<u8>)> {
    let parts: Vec<&[u8]> = name.split(|byte| *byte == b'/').collect();
    let (_, folders) = parts.split_last()?;
    let split_of = |part: &[u8]| {
        [TRAIN, VAL]
            .into_iter()
            .find(|split| split.as_bytes() == part)
    };
    let split_at = folders
        .iter()
        .take(2)
        .position(|part| split_of(part).is_some());
    // `train/cat/a.jpg` and `photos/train/cat/a.jpg`, but not `photos/train/a.jpg`, where train is a class.
    let (split, class_at) = match split_at.filter(|at| folders.len() > at + 1) {
        Some(at) => (split_of(folders[at])?, at + 1),
        None => (default_split, 0),
    };
    let class = name::escape_class(folders.get(class_at)?);
    let below = parts[class_at + 1..].join(&b'/');
    Some(((split, Some(class)), below))
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

    fn place(name: &str) -> Option<(&'static str, String, String)> {
        let ((split, class), below) = place_of(name.as_bytes(), TRAIN)?;
        Some((split, class?, String::from_utf8(below).expect("text")))
    }

    #[test]
    fn members_belong_where_files_of_that_path_would() {
        let is =
            |split, class: &str, below: &str| Some((split, class.to_owned(), below.to_owned()));
        assert_eq!(place("cat/a.jpg"), is(TRAIN, "cat", "a.jpg"));
        assert_eq!(place("val/cat/x/a.jpg"), is(VAL, "cat", "x/a.jpg"));
        assert_eq!(place("photos/train/cat/a.jpg"), is(TRAIN, "cat", "a.jpg"));
        assert_eq!(place("train/a.jpg"), is(TRAIN, "train", "a.jpg"));
        assert_eq!(place("a.jpg"), None);
    }
}
