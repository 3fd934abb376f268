//! Where images come from: folders, archives, lists. Everything becomes one [`Catalogue`] of candidates with split, class
//! and place; from there on nobody knows what it was.
//!
//! It reads names, and labels where they stand in files of their own; it opens no image.

mod archives;
mod catalogue;
mod devkit;
mod folders;
mod labels;
mod lines;
mod list;
mod mat;
mod subset;

use std::fs;
use std::path::{Path, PathBuf};

pub(crate) use catalogue::{
    Archive, Candidate, Catalogue, Group, Location, Place, Selection, Span,
};
use fixedbitset::FixedBitSet;

use crate::cli::PackOptions;
use crate::error::ToolError;
use crate::report::Skips;
use labels::Labels;

/// The split of a source without split folders.
pub(crate) const TRAIN: &str = "train";
/// The split for validation.
pub(crate) const VAL: &str = "val";
/// What stands for standard input.
const STDIN: &str = "-";

/// Everything that was found.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) catalogue: Catalogue,
    /// Which of the candidates are wanted, by number.
    pub(crate) selected: FixedBitSet,
    /// What was found and is no candidate.
    pub(crate) skips: Skips,
    /// What a person should know of how the source was understood.
    pub(crate) notes: Vec<String>,
}

impl Source {
    /// Nothing yet; what does not fit into memory will lie in `spool_dir`.
    fn new(spool_dir: &Path) -> Self {
        Self {
            catalogue: Catalogue::new(spool_dir),
            selected: FixedBitSet::new(),
            skips: Skips::default(),
            notes: Vec::new(),
        }
    }

    /// Whether there are candidates for validation.
    pub(crate) fn has_val(&self) -> bool {
        self.catalogue
            .groups()
            .iter()
            .any(|group| group.split == VAL)
    }
}

/// Lists what the command line names. Streams, and lists that are larger than memory, are kept in `spool_dir`.
///
/// # Errors
/// If something is missing, empty, damaged, or without the labels it needs.
pub(crate) fn open(options: &PackOptions, spool_dir: &Path) -> Result<Source, ToolError> {
    let mut source = Source::new(spool_dir);
    let (archives, rest): (Vec<PathBuf>, Vec<PathBuf>) = expanded(&options.src)?
        .into_iter()
        .partition(|path| is_archive(path));
    let labels = Labels::load(options.labels.as_deref(), &rest)?;
    for path in rest.iter().filter(|path| !devkit::is_devkit(path)) {
        if options.list {
            list::add(path, &mut source)?;
        } else {
            folders::add(path, &labels, &mut source)?;
        }
    }
    for path in &archives {
        archives::add(path, spool_dir, &labels, &mut source)?;
    }
    if let Some(twice) = source.catalogue.make_keys_unique()? {
        return Err(ToolError::NameTwice(twice));
    }
    source.selected = subset::select(&source.catalogue, options)?;
    Ok(source)
}

/// The given paths; a folder that holds archives and no folders stands for the archives and the devkit in it.
fn expanded(paths: &[PathBuf]) -> Result<Vec<PathBuf>, ToolError> {
    let mut all = Vec::new();
    for path in paths {
        let inside = if path.is_dir() {
            archives_in(path)?
        } else {
            Vec::new()
        };
        if inside.is_empty() {
            all.push(path.clone());
        }
        all.extend(inside);
    }
    Ok(all)
}

fn archives_in(dir: &Path) -> Result<Vec<PathBuf>, ToolError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(ToolError::read(dir))? {
        let path = entry.map_err(ToolError::read(dir))?.path();
        if path.is_dir() {
            return Ok(Vec::new());
        }
        if is_archive(&path) || devkit::is_devkit(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn is_archive(path: &Path) -> bool {
    path.as_os_str() == STDIN || path.extension().is_some_and(|extension| extension == "tar")
}
