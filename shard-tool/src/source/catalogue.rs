//! All candidates of a source, by number. It knows names and places, and opens nothing but archives, once.
//!
//! Names lie in arrays that go to disk as they grow, and what is asked of them is asked in one pass over all candidates, or of
//! one candidate: a data set of any size takes the same memory.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use fixedbitset::FixedBitSet;
use shard_format::name;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::alike;
use crate::error::ToolError;
use crate::feed::Stamp;
use crate::progress::Count;
use crate::set::UNLABELLED;
use crate::spill::Spill;

/// Memory for names, and as much for the records of the candidates: a million of them, about.
const MAX_BYTES_IN_MEMORY: usize = 32 << 20;
/// Candidates that are read at once.
const BLOCK: u64 = 16_384;

/// The candidates, numbered from 0.
#[derive(Debug)]
pub(crate) struct Catalogue {
    groups: Vec<Group>,
    archives: Vec<Archive>,
    /// All names, one after another.
    names: Spill,
    records: Spill,
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

/// An archive, open.
#[derive(Debug)]
pub(crate) struct Archive {
    pub(crate) file: File,
    /// Its state when it was listed.
    pub(crate) listed: Stamp,
    /// What tells its content from another, also in a later run.
    pub(crate) identity: Stamp,
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
    Member { archive: &'a Archive, span: Span },
}

/// One candidate.
#[derive(Debug)]
pub(crate) struct Candidate<'a> {
    pub(crate) number: u32,
    pub(crate) group: &'a Group,
    pub(crate) group_number: usize,
    /// The name as the source has it, below its folder.
    pub(crate) name: Cow<'a, [u8]>,
    span: Span,
    keeps_extension: bool,
    archives: &'a [Archive],
}

/// What is kept of a candidate beside its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Record {
    name_at: u64,
    name_bytes: u32,
    group: u32,
    /// Meaningless for files of folders.
    span: Span,
}

impl Catalogue {
    /// An empty one, which makes its files in `dir` if it needs any.
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            groups: Vec::new(),
            archives: Vec::new(),
            names: Spill::new(dir, MAX_BYTES_IN_MEMORY),
            records: Spill::new(dir, MAX_BYTES_IN_MEMORY),
            keeping_extension: FixedBitSet::new(),
            count: Some(Count::new("listing", "files")),
        }
    }

    /// Adds an archive. One whose time of change tells nothing, such as a copied stream, has a digest instead.
    pub(crate) fn add_archive(&mut self, file: File, digest: Option<u64>) -> io::Result<u32> {
        let listed = Stamp::of(&file.metadata()?);
        let changed_ns = digest.map_or(listed.changed_ns, u64::cast_signed);
        let identity = Stamp {
            changed_ns,
            ..listed
        };
        self.archives.push(Archive {
            file,
            listed,
            identity,
        });
        Ok(self.archives.len() as u32 - 1)
    }

    pub(crate) fn add_group(&mut self, group: Group) -> u32 {
        self.groups.push(group);
        self.groups.len() as u32 - 1
    }

    /// Adds a file of a folder; `name` is its path below the folder of the group.
    pub(crate) fn add_file(&mut self, group: u32, name: &[u8]) -> Result<(), ToolError> {
        let nowhere = Span {
            offset: 0,
            num_bytes: 0,
        };
        self.add_member(group, name, nowhere)
    }

    /// Adds a member of an archive.
    pub(crate) fn add_member(
        &mut self,
        group: u32,
        name: &[u8],
        span: Span,
    ) -> Result<(), ToolError> {
        if self.len() >= u32::MAX as usize {
            return Err(ToolError::TooManyFiles);
        }
        let record = Record {
            name_at: self.names.len(),
            name_bytes: name.len() as u32,
            group,
            span,
        };
        self.names.push(name)?;
        self.records.push(&record.to_bytes())?;
        let num_candidates = self.len() as u64;
        if num_candidates.is_multiple_of(BLOCK)
            && let Some(count) = &mut self.count
        {
            count.tell(num_candidates);
        }
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        (self.records.len() / Record::BYTES) as usize
    }

    #[cfg(test)]
    pub(crate) fn archives(&self) -> &[Archive] {
        &self.archives
    }

    pub(crate) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Gives all candidates of a group another class.
    pub(crate) fn set_class(&mut self, group: u32, class: String) {
        self.groups[group as usize].class = Some(class);
    }

    /// The candidate of this number, which must be there.
    pub(crate) fn candidate(&self, number: u32) -> Result<Candidate<'_>, ToolError> {
        let start = u64::from(number) * Record::BYTES;
        let record = Record::from_bytes(&self.records.get(start..start + Record::BYTES)?);
        let end = record.name_at + u64::from(record.name_bytes);
        let name = self.names.get(record.name_at..end)?;
        Ok(self.described(number, &record, name))
    }

    /// Calls `visit` for all candidates, by number.
    ///
    /// # Errors
    /// Those of `visit`, and of reading what lies on disk.
    pub(crate) fn each(
        &self,
        mut visit: impl FnMut(Candidate<'_>) -> Result<(), ToolError>,
    ) -> Result<(), ToolError> {
        let num_candidates = self.len() as u64;
        for start in (0..num_candidates).step_by(BLOCK as usize) {
            let end = num_candidates.min(start + BLOCK);
            let records = self
                .records
                .get(start * Record::BYTES..end * Record::BYTES)?;
            let records = records
                .chunks_exact(Record::BYTES as usize)
                .map(Record::from_bytes);
            let Some((first, last)) = records.clone().next().zip(records.clone().next_back())
            else {
                continue;
            };
            let names_end = last.name_at + u64::from(last.name_bytes);
            let names = self.names.get(first.name_at..names_end)?;
            for (number, record) in (start as u32..).zip(records) {
                let at = (record.name_at - first.name_at) as usize;
                let name = &names[at..at + record.name_bytes as usize];
                visit(self.described(number, &record, Cow::Borrowed(name)))?;
            }
        }
        Ok(())
    }

    fn described<'a>(&'a self, number: u32, record: &Record, name: Cow<'a, [u8]>) -> Candidate<'a> {
        Candidate {
            number,
            group: &self.groups[record.group as usize],
            group_number: record.group as usize,
            name,
            span: record.span,
            keeps_extension: self.keeping_extension.contains(number as usize),
            archives: &self.archives,
        }
    }

    /// Ends the listing: lets keys keep the extensions they need to differ. Returns a name that occurs twice in a class, if there is one:
    /// nothing can make those keys differ.
    pub(crate) fn make_keys_unique(&mut self) -> Result<Option<PathBuf>, ToolError> {
        self.count = None;
        self.keeping_extension.grow(self.len());
        // Whole names differ, so keeping one more extension in each clash comes to an end.
        loop {
            let clashing = self.clashing()?;
            if clashing.is_subset(&self.keeping_extension) {
                return self.key_that_occurs_twice(&clashing);
            }
            self.keeping_extension.union_with(&clashing);
        }
    }

    /// Candidates whose key others of their split have too. Equal digests count as equal keys: should two keys ever only seem
    /// equal, they keep extensions that they could have lost.
    fn clashing(&self) -> Result<FixedBitSet, ToolError> {
        let mut clashing = FixedBitSet::with_capacity(self.len());
        let scan = |offer: &mut dyn FnMut(u64, u32)| {
            self.each(|candidate| {
                let split = u64::from(candidate.group.split.as_bytes()[0]);
                let digest = xxh3_64_with_seed(candidate.key().as_bytes(), split);
                offer(digest, candidate.number);
                Ok(())
            })
        };
        alike::in_hash_order(self.len() as u64, scan, |run| {
            for (_, number) in alike::several(run).flatten() {
                clashing.insert(*number as usize);
            }
            Ok(())
        })?;
        Ok(clashing)
    }

    /// How the last of two candidates with the same key is shown, if there are such.
    fn key_that_occurs_twice(&self, clashing: &FixedBitSet) -> Result<Option<PathBuf>, ToolError> {
        let mut known = std::collections::HashSet::new();
        for number in clashing.ones() {
            let candidate = self.candidate(number as u32)?;
            if !known.insert((candidate.group.split, candidate.key())) {
                return Ok(Some(candidate.shown()));
            }
        }
        Ok(None)
    }
}

impl<'a> Candidate<'a> {
    /// `<class>/<stem>`, unique in its split.
    pub(crate) fn key(&self) -> String {
        let class = self.group.class.as_deref().unwrap_or(UNLABELLED);
        let stem = name::stem(&self.name, self.keeps_extension);
        format!("{class}/{stem}")
    }

    /// Where to read it.
    pub(crate) fn location(&self) -> Location<'a> {
        match &self.group.place {
            Place::Folder(dir) => Location::File(dir.join(OsStr::from_bytes(&self.name))),
            Place::Archive { number, .. } => Location::Member {
                archive: &self.archives[*number as usize],
                span: self.span,
            },
        }
    }

    /// How a message names it.
    pub(crate) fn shown(&self) -> PathBuf {
        let name = Path::new(OsStr::from_bytes(&self.name));
        match &self.group.place {
            Place::Folder(dir) => dir.join(name),
            Place::Archive { shown, .. } => PathBuf::from(format!("{shown}:{}", name.display())),
        }
    }
}

impl Record {
    const BYTES: u64 = 32;

    fn to_bytes(self) -> [u8; Self::BYTES as usize] {
        let mut bytes = [0; Self::BYTES as usize];
        bytes[0..8].copy_from_slice(&self.name_at.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.name_bytes.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.group.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.span.offset.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.span.num_bytes.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        let u32_at =
            |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let u64_at =
            |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        Self {
            name_at: u64_at(0),
            name_bytes: u32_at(8),
            group: u32_at(12),
            span: Span {
                offset: u64_at(16),
                num_bytes: u64_at(24),
            },
        }
    }
}
