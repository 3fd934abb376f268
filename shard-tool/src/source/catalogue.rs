//! All candidates of a source, compactly: a million of them take about 60 MB. It knows names and places, and opens nothing
//! but archives, once.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use shard_format::name;

/// The class of samples without label, as it stands in their keys.
const UNLABELLED: &str = "unlabelled";

/// The candidates, numbered from 0.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    groups: Vec<Group>,
    archives: Vec<Archive>,
    /// All names, one after another.
    names: Vec<u8>,
    entries: Vec<Entry>,
    /// Where the members of archives lie.
    spans: Vec<Span>,
    /// Which names keep their extension in the key; empty until [`Catalogue::make_keys_unique`].
    keeping_extension: Vec<bool>,
}

/// What the candidates of one folder have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) split: &'static str,
    /// Class name, escaped; `None` for candidates without label.
    pub(crate) class: Option<String>,
    pub(crate) place: Place,
}

/// Where the names of a group lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Files below this folder.
    Folder(PathBuf),
    /// Members of an archive; `shown` stands before their names in messages.
    Archive { number: u32, shown: String },
}

/// An archive, open.
#[derive(Debug)]
struct Archive {
    file: File,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    name_at: u64,
    group: u32,
    /// Position in the spans; meaningless for files of folders.
    span: u32,
}

/// A range of bytes of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) offset: u64,
    pub(crate) num_bytes: u64,
}

/// Where the bytes of a candidate are.
#[derive(Debug, Clone)]
pub(crate) enum Location<'a> {
    File(PathBuf),
    Member { archive: &'a File, span: Span },
}

impl Catalogue {
    pub(crate) fn add_archive(&mut self, file: File) -> u32 {
        self.archives.push(Archive { file });
        self.archives.len() as u32 - 1
    }

    pub(crate) fn add_group(&mut self, group: Group) -> u32 {
        self.groups.push(group);
        self.groups.len() as u32 - 1
    }

    /// Adds a file of a folder; `name` is its path below the folder of the group.
    pub(crate) fn add_file(&mut self, group: u32, name: &[u8]) {
        self.add(group, name, 0);
    }

    /// Adds a member of an archive.
    pub(crate) fn add_member(&mut self, group: u32, name: &[u8], span: Span) {
        self.add(group, name, self.spans.len() as u32);
        self.spans.push(span);
    }

    fn add(&mut self, group: u32, name: &[u8], span: u32) {
        let name_at = self.names.len() as u64;
        self.names.extend_from_slice(name);
        self.entries.push(Entry {
            name_at,
            group,
            span,
        });
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Gives all candidates of a group another class.
    pub(crate) fn set_class(&mut self, group: u32, class: String) {
        self.groups[group as usize].class = Some(class);
    }

    pub(crate) fn group_number(&self, entry: u32) -> usize {
        self.entries[entry as usize].group as usize
    }

    pub(crate) fn group(&self, entry: u32) -> &Group {
        &self.groups[self.group_number(entry)]
    }

    /// The name as the source has it, below its folder.
    pub(crate) fn name(&self, entry: u32) -> &[u8] {
        let entry = entry as usize;
        let start = self.entries[entry].name_at as usize;
        let end = self
            .entries
            .get(entry + 1)
            .map(|next| next.name_at as usize);
        &self.names[start..end.unwrap_or(self.names.len())]
    }

    /// `<class>/<stem>`, unique in its split.
    pub(crate) fn key(&self, entry: u32) -> String {
        let class = self.group(entry).class.as_deref().unwrap_or(UNLABELLED);
        let keep = self.keeping_extension.get(entry as usize).copied();
        let stem = name::stem(self.name(entry), keep.unwrap_or(false));
        format!("{class}/{stem}")
    }

    /// Where to read it.
    pub(crate) fn location(&self, entry: u32) -> Location<'_> {
        match &self.group(entry).place {
            Place::Folder(dir) => Location::File(dir.join(OsStr::from_bytes(self.name(entry)))),
            Place::Archive { number, .. } => Location::Member {
                archive: &self.archives[*number as usize].file,
                span: self.spans[self.entries[entry as usize].span as usize],
            },
        }
    }

    /// How a message names it.
    pub(crate) fn shown(&self, entry: u32) -> PathBuf {
        let name = Path::new(OsStr::from_bytes(self.name(entry)));
        match &self.group(entry).place {
            Place::Folder(dir) => dir.join(name),
            Place::Archive { shown, .. } => PathBuf::from(format!("{shown}:{}", name.display())),
        }
    }

    /// All class names.
    pub(crate) fn classes(&self) -> BTreeSet<&str> {
        let classes = self
            .groups
            .iter()
            .filter_map(|group| group.class.as_deref());
        classes.collect()
    }

    /// The candidates of each group, in order.
    pub(crate) fn entries_by_group(&self) -> Vec<Vec<u32>> {
        let mut by_group = vec![Vec::new(); self.groups.len()];
        for (number, entry) in (0u32..).zip(&self.entries) {
            by_group[entry.group as usize].push(number);
        }
        by_group
    }

    /// Lets keys keep the extensions they need to differ. Returns a name that occurs twice in a class, if there is one:
    /// nothing can make those keys differ.
    pub(crate) fn make_keys_unique(&mut self) -> Option<PathBuf> {
        let mut keeping = vec![false; self.entries.len()];
        let mut by_class: BTreeMap<(&str, Option<&str>), Vec<u32>> = BTreeMap::new();
        for (group, entries) in self.groups.iter().zip(self.entries_by_group()) {
            let class = (group.split, group.class.as_deref());
            by_class.entry(class).or_default().extend(entries);
        }
        for entries in by_class.into_values() {
            let mut names: Vec<(&[u8], u32)> = entries
                .iter()
                .map(|entry| (self.name(*entry), *entry))
                .collect();
            names.sort_unstable();
            if let Some(twice) = names.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                return Some(self.shown(twice[1].1));
            }
            let stems: Vec<&[u8]> = names.iter().map(|(name, _)| *name).collect();
            for ((_, entry), keep) in names.iter().zip(name::keeping_extension(&stems)) {
                keeping[*entry as usize] = keep;
            }
        }
        self.keeping_extension = keeping;
        None
    }
}
