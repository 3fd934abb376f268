//! Where images come from: folders, archives, lists. Everything becomes one [`Catalogue`] of candidates with split, class
//! and place; from there on nobody knows what it was.
//!
//! It reads names, and labels where they stand in files of their own; it opens no image.

mod archives;
mod catalogue;
mod classes;
mod devkit;
mod downloads;
mod folders;
mod image_folder;
mod labels;
mod lines;
mod list;
mod mat;
mod selection;
mod subset;
mod text_file;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub(crate) use catalogue::{Archive, Candidate, Catalogue, Group, Location, Place, Span};
use fixedbitset::FixedBitSet;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
pub(crate) use selection::Selection;

use crate::cli::PackOptions;
use crate::error::ToolError;
use crate::report::{Skips, counted};
use labels::Labels;

/// The split of a source without split folders.
pub(crate) const TRAIN: &str = "train";
/// The split for validation.
pub(crate) const VAL: &str = "val";
/// What may lie beside them, and is not packed.
const TEST: &str = "test";
/// What stands for standard input.
const STDIN: &str = "-";

const HIDDEN: &str = "hidden (the name starts with a dot)";
const NOT_A_FILE: &str = "neither a file nor a folder";
const LINK_IN_ARCHIVE: &str =
    "a link in an archive, which is not followed: unpack the archive to pack what it leads to";
const NOT_IN_CLASS: &str = "not in a class folder";
const BESIDE_SPLITS: &str = "beside train and val";
const NOT_IN_LABELS: &str = "not in the file of labels";

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
    /// Images that lie in no class folder, so that labels are asked for them.
    num_flat: u64,
    /// The groups whose class is from the labels.
    by_label: BTreeSet<u32>,
}

impl Source {
    /// Nothing yet; what does not fit into memory will lie in `spool_dir`.
    fn new(spool_dir: &Path) -> Self {
        Self {
            catalogue: Catalogue::new(spool_dir),
            selected: FixedBitSet::new(),
            skips: Skips::default(),
            notes: Vec::new(),
            num_flat: 0,
            by_label: BTreeSet::new(),
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
    let paths = downloads::expanded(&options.src, &mut source.skips)?;
    let (archives, rest): (Vec<PathBuf>, Vec<PathBuf>) =
        paths.into_iter().partition(|path| is_archive(path));
    let labels = Labels::load(options.labels.as_deref(), &rest)?;
    for path in rest.iter().filter(|path| !devkit::is_devkit(path)) {
        if options.list {
            list::add(path, &mut source)?;
        } else {
            folders::add(path, &labels, &mut source)?;
        }
    }
    let reading = archives::Reading {
        spool_dir,
        allow_damaged: options.allow_damaged,
        labels: &labels,
    };
    allow_many_files();
    for path in &archives {
        archives::add(path, reading, &mut source)?;
    }
    check_labels_fit(options, &rest, &source)?;
    note_unused_labels(options, &rest, &mut source);
    classes::match_val_to_train(&labels, &mut source)?;
    if let Some(twice) = source.catalogue.make_keys_unique()? {
        return Err(ToolError::NameTwice(twice));
    }
    source.selected = subset::select(&source.catalogue, options)?;
    Ok(source)
}

/// Archives stay open; there may be one for each class. Where the system refuses, opening one too many will tell.
fn allow_many_files() {
    let limits = getrlimit(Resource::Nofile);
    let current = limits.maximum;
    setrlimit(Resource::Nofile, Rlimit { current, ..limits }).unwrap_or(());
}

/// Labels of which none is used are those of another source.
fn check_labels_fit(
    options: &PackOptions,
    paths: &[PathBuf],
    source: &Source,
) -> Result<(), ToolError> {
    let devkit = paths.iter().find(|path| devkit::is_devkit(path));
    match options.labels.as_ref().or(devkit) {
        Some(labels) if source.num_flat > 0 && source.by_label.is_empty() => {
            Err(ToolError::NoLabelFits {
                path: labels.clone(),
                num_images: source.num_flat,
            })
        }
        _ => Ok(()),
    }
}

fn note_unused_labels(options: &PackOptions, paths: &[PathBuf], source: &mut Source) {
    let Some(file) = &options.labels else {
        return;
    };
    for path in paths.iter().filter(|path| devkit::is_devkit(path)) {
        let note = format!("{} has no effect: --labels has the classes", path.display());
        source.notes.push(note);
    }
    if source.num_flat == 0 {
        let why = if options.list {
            "a list has its classes in its lines"
        } else {
            "every image lies in a class folder"
        };
        let note = format!("--labels {} has no effect: {why}", file.display());
        source.notes.push(note);
    }
}

/// Told where images lie in no class folder and nothing gives their classes.
fn without_labels(place: &Path, num_files: u64) -> String {
    format!(
        "no class folders in {}: {} without labels",
        place.display(),
        counted(num_files, "file")
    )
}

fn is_archive(path: &Path) -> bool {
    let is_tar = path.extension().is_some_and(|extension| extension == "tar");
    path.as_os_str() == STDIN || (is_tar && !path.is_dir())
}
