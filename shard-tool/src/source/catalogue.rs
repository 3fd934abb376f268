//! All candidates of a source, by number. It knows names and places, and opens nothing but archives, once.
//!
//! Names lie one after another in one array; with its record a candidate takes about 24 bytes and its name.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use fixedbitset::FixedBitSet;
use shard_format::name;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::by_hash;
use super::lines::is_image_name;
use super::location::{Archive, Location, Span};
use crate::error::ToolError;
use crate::report::progress::Count;

/// The class part of the key of a sample without label.
pub(crate) const UNLABELLED: &str = "unlabelled";

/// The candidates, numbered from 0.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    groups: Vec<Group>,
    archives: Vec<Archive>,
    /// All names, one after another.
    names: Vec<u8>,
    records: Vec<Record>,
    /// Which names keep their extension in the key; none until [`Catalogue::make_keys_unique`].
    keeping_extension: FixedBitSet,
    /// Tells how many there are while they are added.
    count: Option<Count>,
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

/// One candidate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'a> {
    pub(crate) number: u32,
    pub(crate) group: &'a Group,
    pub(crate) group_number: usize,
    /// The name as the source has it, below its folder.
    pub(crate) name: &'a [u8],
    span: Span,
    keeps_extension: bool,
    archives: &'a [Archive],
}

/// What is kept of a candidate beside its name.
#[derive(Debug, Clone, Copy)]
struct Record {
    name_end: u64,
    /// Of a member of an archive, and its size; what is larger than an image may be is never read.
    offset: u64,
    num_bytes: u32,
    group: u32,
}

impl Catalogue {
    pub(crate) fn add_archive(&mut self, archive: Archive) -> u32 {
        self.archives.push(archive);
        self.archives.len() as u32 - 1
    }

    pub(crate) fn add_group(&mut self, group: Group) -> u32 {
        self.groups.push(group);
        self.groups.len() as u32 - 1
    }

    /// Adds a file of a folder; `name` is its path below the folder of the group.
    pub(crate) fn add_file(&mut self, group: u32, name: &[u8]) -> Result<(), ToolError> {
        self.add_member(group, name, Span::default())
    }

    /// Adds a member of an archive.
    pub(crate) fn add_member(
        &mut self,
        group: u32,
        name: &[u8],
        span: Span,
    ) -> Result<(), ToolError> {
        if self.len() >= u32::MAX as usize {
            return Err(ToolError::data(
                "the source has more files than can be numbered, 4,294,967,295",
                "the command line",
                "pack parts of it into sets of their own",
            ));
        }
        self.names.extend_from_slice(name);
        self.records.push(Record {
            name_end: self.names.len() as u64,
            offset: span.offset,
            num_bytes: u32::try_from(span.num_bytes).unwrap_or(u32::MAX),
            group,
        });
        if self.len().is_multiple_of(16_384) {
            let count = self
                .count
                .get_or_insert_with(|| Count::new("listing", "files"));
            count.tell(self.records.len() as u64);
        }
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Gives all candidates of a group another class.
    pub(super) fn set_class(&mut self, group: u32, class: String) {
        self.groups[group as usize].class = Some(class);
    }

    /// The candidate of this number, which must be there.
    pub(crate) fn candidate(&self, number: u32) -> Candidate<'_> {
        let at = number as usize;
        let record = &self.records[at];
        let before = at.checked_sub(1).map(|before| &self.records[before]);
        let name_start = before.map_or(0, |before| before.name_end);
        Candidate {
            number,
            group: &self.groups[record.group as usize],
            group_number: record.group as usize,
            name: &self.names[name_start as usize..record.name_end as usize],
            span: Span {
                offset: record.offset,
                num_bytes: record.num_bytes.into(),
            },
            keeps_extension: self.keeping_extension.contains(at),
            archives: &self.archives,
        }
    }

    /// All candidates, by number.
    pub(crate) fn candidates(&self) -> impl Iterator<Item = Candidate<'_>> {
        (0..self.records.len() as u32).map(|number| self.candidate(number))
    }

    /// The key of a candidate, see [`Candidate::key`].
    pub(crate) fn key(&self, number: u32) -> String {
        self.candidate(number).key()
    }

    /// For each group the first one that has its class.
    pub(super) fn classes(&self) -> Vec<usize> {
        let mut known = BTreeMap::new();
        let groups = self.groups.iter().enumerate();
        let first_of = |(number, group): (usize, &'_ Group)| {
            *known.entry(group.class.clone()).or_insert(number)
        };
        groups.map(first_of).collect()
    }

    /// Those of these candidates that a draw counts, with the class of each group: what is named like an image, or every file of a
    /// class in which nothing is.
    pub(crate) fn countable(&self, wanted: &FixedBitSet) -> (Vec<u32>, Vec<usize>) {
        let classes = self.classes();
        let wanted = || wanted.ones().map(|number| self.candidate(number as u32));
        let is_named = |candidate: &Candidate<'_>| is_image_name(candidate.name);
        let with_images: HashSet<usize> = wanted()
            .filter(is_named)
            .map(|candidate| classes[candidate.group_number])
            .collect();
        let is_countable = |candidate: &Candidate<'_>| {
            is_named(candidate) || !with_images.contains(&classes[candidate.group_number])
        };
        let countable = wanted().filter(is_countable);
        (
            countable.map(|candidate| candidate.number).collect(),
            classes,
        )
    }

    /// Ends the listing: lets keys keep the extensions they need to differ.
    ///
    /// # Errors
    /// If a name occurs twice in a class: nothing can make those keys differ.
    pub(super) fn make_keys_unique(&mut self) -> Result<(), ToolError> {
        self.count = None;
        self.keeping_extension.grow(self.len());
        // Whole names differ, so keeping one more extension in each clash comes to an end.
        loop {
            let clashing = self.clashing();
            if clashing.is_subset(&self.keeping_extension) {
                return self.check_differ(&clashing);
            }
            self.keeping_extension.union_with(&clashing);
        }
    }

    /// Candidates whose key others of their split have too. Equal digests count as equal keys: should two keys ever only seem
    /// equal, they keep extensions that they could have lost.
    fn clashing(&self) -> FixedBitSet {
        let digest = |candidate: Candidate<'_>| {
            let split = u64::from(candidate.group.split.as_bytes()[0]);
            let digest = xxh3_64_with_seed(candidate.key().as_bytes(), split);
            (digest, candidate.number)
        };
        let mut digests: Vec<(u64, u32)> = self.candidates().map(digest).collect();
        let clashing = by_hash::several(&mut digests).flatten();
        clashing.map(|(_, number)| *number as usize).collect()
    }

    fn check_differ(&self, clashing: &FixedBitSet) -> Result<(), ToolError> {
        let mut known = HashSet::new();
        let candidates = clashing.ones().map(|number| self.candidate(number as u32));
        for candidate in candidates {
            if !known.insert((candidate.group.split, candidate.key())) {
                return Err(ToolError::data(
                    "a file of this name is there twice for the same class",
                    candidate.shown().display(),
                    "leave one out",
                ));
            }
        }
        Ok(())
    }
}

impl<'a> Candidate<'a> {
    /// `<class>/<stem>`, unique in its split.
    pub(crate) fn key(&self) -> String {
        let class = self.group.class.as_deref().unwrap_or(UNLABELLED);
        let stem = name::stem(self.name, self.keeps_extension);
        format!("{class}/{stem}")
    }

    /// Where to read it.
    pub(crate) fn location(&self) -> Location<'a> {
        match &self.group.place {
            Place::Folder(dir) => Location::File(dir.join(OsStr::from_bytes(self.name))),
            Place::Archive { number, .. } => Location::Member {
                archive: &self.archives[*number as usize],
                span: self.span,
            },
        }
    }

    /// How a message names it.
    pub(crate) fn shown(&self) -> PathBuf {
        let name = Path::new(OsStr::from_bytes(self.name));
        match &self.group.place {
            Place::Folder(dir) => dir.join(name),
            Place::Archive { shown, .. } => PathBuf::from(format!("{shown}:{}", name.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(names: &[&str]) -> Vec<String> {
        let mut catalogue = Catalogue::default();
        let group = catalogue.add_group(Group {
            split: "train",
            class: Some("c".to_owned()),
            place: Place::Folder("c".into()),
        });
        for name in names {
            catalogue.add_file(group, name.as_bytes()).expect("added");
        }
        catalogue.make_keys_unique().expect("they differ");
        catalogue.candidates().map(|one| one.key()).collect()
    }

    #[test]
    fn files_that_share_a_stem_keep_their_extensions() {
        let expected = ["c/a%2Ejpg", "c/b", "c/a%2EJPEG"];
        assert_eq!(keys(&["a.jpg", "b.jpg", "a.JPEG"]), expected);
        let expected = ["c/a%2Ejpg", "c/a%2EJPEG", "c/a%2Ejpg%2Epng"];
        assert_eq!(keys(&["a.jpg", "a.JPEG", "a.jpg.png"]), expected);
    }

    proptest! {
        #[test]
        fn keys_are_unique(names in prop::collection::hash_set("[ab/.]{1,5}", 1..30)) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let distinct: HashSet<String> = keys(&names).into_iter().collect();
            prop_assert_eq!(distinct.len(), names.len());
        }
    }
}
