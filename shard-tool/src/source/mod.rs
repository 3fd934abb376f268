//! Where images come from: folders, archives, lists. Everything becomes one [`catalogue::Catalogue`] of candidates with split, class
//! and place; from there on nobody knows what it was.
//!
//! It reads names, and labels where they stand in files of their own; it opens no image.

mod archives;
pub(crate) mod by_hash;
pub(crate) mod catalogue;
mod classes;
pub(crate) mod contents;
mod devkit;
mod downloads;
mod folders;
mod image_folder;
mod labels;
mod layout;
mod lines;
mod list;
mod listing;
pub(crate) mod location;
mod mat;
mod skipped;
pub(crate) mod splits;
mod subset;
mod text_file;
mod unicode;

use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::commands::pack::options::PackOptions;
use crate::error::ToolError;
use crate::report::counts::counted;
use archives::is_archive;
use contents::Source;
pub(crate) use folders::missing;
use labels::Labels;

/// Lists what the command line names. A stream is kept in `spool_dir`.
///
/// # Errors
/// If something is missing, empty, damaged, or without the labels it needs.
pub(crate) fn open(options: &PackOptions, spool_dir: &Path) -> Result<Source, ToolError> {
    let mut source = Source::default();
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
    note_unused_labels(options, &rest, &labels, &mut source);
    classes::match_val_to_train(&labels, &mut source)?;
    source.catalogue.make_keys_unique()?;
    unicode::warn(&source.catalogue);
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
        Some(labels) if source.num_flat > 0 && source.by_label.is_empty() => Err(ToolError::data(
            format_args!(
                "none of the {} images that need a label has one in this file",
                source.num_flat
            ),
            labels.display(),
            "check that it belongs to this source: lines `file,class`",
        )),
        _ => Ok(()),
    }
}

fn note_unused_labels(
    options: &PackOptions,
    paths: &[PathBuf],
    labels: &Labels,
    source: &mut Source,
) {
    let Some(file) = options.labels.as_ref().map(|file| file.display()) else {
        return;
    };
    for path in paths.iter().filter(|path| devkit::is_devkit(path)) {
        let note = format!("{} has no effect: --labels has the classes", path.display());
        source.notes.push(note);
    }
    let note = match (source.num_flat, labels.num_unused()) {
        (0, _) if options.list => {
            format!("--labels {file} has no effect: a list has its classes in its lines")
        }
        (0, _) => format!("--labels {file} has no effect: every image lies in a class folder"),
        (_, 0) => return,
        (_, unused) => format!("{} of {file} belong to no image", counted(unused, "label")),
    };
    source.notes.push(note);
}
