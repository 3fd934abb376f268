//! The files of a folder or an archive on their way into the catalogue, each where its path belongs ([`super::layout`]). What
//! lies in no class folder gets its class from the labels, where there are any.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use shard_format::name::escape_class;

use super::catalogue::{Group, Place};
use super::contents::Source;
use super::labels::{Labels, Said};
use super::layout::{Layout, Spot};
use super::lines::base_name;
use super::location::Span;
use super::skipped::NOT_IN_LABELS;
use super::splits::VAL;
use crate::error::ToolError;

/// Where files are added to.
pub(super) struct Listing<'a> {
    /// The folder or archive, as a message names it.
    pub(super) src: &'a Path,
    pub(super) layout: Layout,
    pub(super) default_split: &'static str,
    pub(super) labels: &'a Labels,
    pub(super) source: &'a mut Source,
    /// Groups made so far, by split, class, and part of the archive.
    groups: BTreeMap<(&'static str, Option<String>, u32), u32>,
    num_unlabelled: u64,
}

/// Where a file comes from.
#[derive(Clone, Copy)]
pub(super) enum Origin<'o> {
    Folder,
    Member {
        /// Of the archive.
        number: u32,
        /// The part of the archive, as a number and as a message names it.
        part: (u32, &'o str),
        /// Its path in that part.
        name: &'o [u8],
        span: Span,
    },
}

impl Origin<'_> {
    fn part(&self) -> u32 {
        match self {
            Self::Folder => 0,
            Self::Member { part, .. } => part.0,
        }
    }

    fn span(&self) -> Span {
        match self {
            Self::Folder => Span::default(),
            Self::Member { span, .. } => *span,
        }
    }

    /// Where names below this folder of `src` lead.
    fn place(&self, src: &Path, folder: &[u8]) -> Place {
        match *self {
            Self::Folder => Place::Folder(src.join(OsStr::from_bytes(folder))),
            Self::Member { number, part, .. } => Place::Archive {
                number,
                shown: part.1.to_owned(),
            },
        }
    }

    /// How a message names the file of this path in `src`.
    fn shown(&self, src: &Path, path: &[u8]) -> String {
        match self {
            Self::Folder => src.join(OsStr::from_bytes(path)).display().to_string(),
            Self::Member { part, name, .. } => {
                format!("{}:{}", part.1, String::from_utf8_lossy(name))
            }
        }
    }
}

impl<'a> Listing<'a> {
    pub(super) fn new(
        src: &'a Path,
        layout: Layout,
        default_split: &'static str,
        labels: &'a Labels,
        source: &'a mut Source,
    ) -> Self {
        Self {
            src,
            layout,
            default_split,
            labels,
            source,
            groups: BTreeMap::new(),
            num_unlabelled: 0,
        }
    }

    /// Adds the file of this path, or skips it.
    ///
    /// # Errors
    /// If it lies in a flat `val` and there are no labels.
    pub(super) fn add(&mut self, path: &[u8], origin: Origin<'_>) -> Result<(), ToolError> {
        let (split, class, below) = match self.layout.spot(path) {
            Spot::Stray(reason) => {
                let shown = origin.shown(self.src, path);
                self.source.skips.add(reason, shown);
                return Ok(());
            }
            Spot::Flat(split) => return self.add_flat(split, path, origin),
            Spot::Class {
                split,
                class,
                below,
            } => (split, escape_class(class), below),
        };
        if below.starts_with(b"train/") || below.starts_with(b"val/") {
            self.note_splits_in(&class);
        }
        let split = split.unwrap_or(self.default_split);
        let parent = &path[..path.len() - below.len()];
        let group = self.group(split, Some(class), origin, parent);
        self.source
            .catalogue
            .add_member(group, &below, origin.span())
    }

    /// A folder that is there, with or without files: it may be a class.
    pub(super) fn add_folder(&mut self, path: &[u8]) {
        let file = [path, b"x"].join(&b'/');
        if let Spot::Class {
            split,
            class,
            below,
        } = self.layout.spot(&file)
            && below == b"x"
        {
            let split = split.unwrap_or(self.default_split);
            self.group(split, Some(escape_class(class)), Origin::Folder, path);
        }
    }

    fn add_flat(
        &mut self,
        split: Option<&'static str>,
        path: &[u8],
        origin: Origin<'_>,
    ) -> Result<(), ToolError> {
        let split = split.unwrap_or(self.default_split);
        let file = base_name(path);
        self.source.num_flat += 1;
        let class = match self.labels.say(file) {
            Said::Class(class) => Some(class.to_owned()),
            Said::Unknown => {
                let shown = origin.shown(self.src, path);
                self.source.skips.add(NOT_IN_LABELS, shown);
                return Ok(());
            }
            Said::NoLabels if split == VAL => return Err(flat_without_labels(self.src)),
            Said::NoLabels => {
                self.num_unlabelled += 1;
                None
            }
        };
        let is_by_label = class.is_some();
        let parent = &path[..path.len() - file.len()];
        let group = self.group(split, class, origin, parent);
        if is_by_label {
            self.source.by_label.insert(group);
        }
        self.source.catalogue.add_member(group, file, origin.span())
    }

    pub(super) fn group(
        &mut self,
        split: &'static str,
        class: Option<String>,
        origin: Origin<'_>,
        parent: &[u8],
    ) -> u32 {
        let catalogue = &mut self.source.catalogue;
        let key = (split, class, origin.part());
        if let Some(group) = self.groups.get(&key) {
            return *group;
        }
        let group = catalogue.add_group(Group {
            split,
            class: key.1.clone(),
            place: origin.place(self.src, parent),
        });
        self.groups.insert(key, group);
        group
    }

    fn note_splits_in(&mut self, class: &str) {
        let src = self.src.display();
        let note = format!(
            "`{class}` in {src} is taken for a class, though it holds a folder `train` or `val`; give it as the source if these are splits"
        );
        if !self.source.notes.contains(&note) {
            self.source.notes.push(note);
        }
    }

    /// Tells what is known only when everything was added; whether anything was.
    pub(super) fn end(self) -> bool {
        if self.num_unlabelled > 0 {
            self.source.note_unlabelled(self.src, self.num_unlabelled);
        }
        !self.groups.is_empty() || self.source.num_flat > 0
    }
}

/// Images of val need classes.
fn flat_without_labels(place: &Path) -> ToolError {
    ToolError::usage(
        "these images lie in no class folder",
        place.display(),
        "give their classes with --labels FILE (a list `file,class`, or the ILSVRC2012 devkit)",
    )
}
