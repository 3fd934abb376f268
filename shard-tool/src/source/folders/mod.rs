//! Folders: `SRC/{train,val}/<class>/...`, `SRC/<class>/...`, or images alone, perhaps with folders around.
//!
//! It lists names only and opens no file. They are listed twice, since the first one does not tell what the last one is, and go to
//! the catalogue as they come.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use image_decode::content_name;

use super::contents::Source;
use super::labels::Labels;
use super::layout::Survey;
use super::lines::is_image_name;
use super::listing::{Listing, Origin};
use super::splits::{TRAIN, VAL};
use crate::error::ToolError;
use walk::{Found, Walker, list, survey};

mod walk;

/// Adds the candidates under `src`.
///
/// # Errors
/// If `src` is missing or empty, it or a split folder cannot be listed, or `val` is flat and there are no labels.
pub(super) fn add(src: &Path, labels: &Labels, source: &mut Source) -> Result<(), ToolError> {
    check_is_folder(src)?;
    let (mut found, mut last) = (Survey::default(), (PathBuf::new(), [false; 2]));
    survey(src, &mut |path| {
        // The files of a folder come one after another, and those of one kind say the same.
        let (parent, bytes) = (path.parent().unwrap_or(path), path.as_os_str().as_bytes());
        if last.0 != parent {
            last = (parent.to_owned(), [false; 2]);
        }
        let is_image = is_image_name(bytes);
        if !std::mem::replace(&mut last.1[usize::from(is_image)], true) {
            found.add(bytes, is_image);
        }
    })?;
    let layout = found.layout();
    if let Some(left_out) = layout.left_out() {
        let below = src.join(OsStr::from_bytes(&left_out));
        let note = format!("classes are looked for in {}", below.display());
        source.notes.push(note);
    }
    let above = layout.above_classes().into_iter();
    let above: Vec<PathBuf> = above.map(|path| OsStr::from_bytes(&path).into()).collect();
    let mut class_folders = Vec::new();
    for dir in above.iter().filter(|dir| src.join(dir).is_dir()) {
        class_folders.extend(list(src, dir, &mut |_| Ok(()))?);
    }
    let walker = Walker::new(src, &above, &class_folders);
    let mut listing = Listing::new(src, layout, split_called(src), labels, source);
    add_below(PathBuf::new(), &above, &walker, &mut listing)?;
    match listing.end() {
        true => Ok(()),
        false => Err(ToolError::data(
            "the source folder is empty",
            src.display(),
            "it should hold {train,val}/<class>/<images> or <class>/<images>",
        )),
    }
}

/// Adds what lies in a folder that is no class, and is not in one; `above` are those that hold the classes.
fn add_below(
    dir: PathBuf,
    above: &[PathBuf],
    walker: &Walker<'_>,
    listing: &mut Listing<'_>,
) -> Result<(), ToolError> {
    for folder in list(listing.src, &dir, &mut |found| take(found, listing))? {
        if above.iter().any(|above| above.starts_with(&folder)) {
            add_below(folder, above, walker, listing)?;
        } else {
            listing.add_folder(folder.as_os_str().as_bytes());
            walker.files(folder, &mut |found| take(found, listing))?;
        }
    }
    Ok(())
}

fn take(found: Found<'_>, listing: &mut Listing<'_>) -> Result<(), ToolError> {
    match found {
        Found::File(path) => listing.add(path.as_os_str().as_bytes(), Origin::Folder),
        Found::Skipped(path, why) => {
            let shown = listing.src.join(path);
            listing.source.skips.add(why, shown.display());
            Ok(())
        }
    }
}

/// The split of a source without splits: that of its own name.
fn split_called(src: &Path) -> &'static str {
    match src.file_name() {
        Some(name) if name == VAL => VAL,
        _ => TRAIN,
    }
}

fn check_is_folder(src: &Path) -> Result<(), ToolError> {
    match fs::metadata(src) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(ToolError::data(
            format_args!("the source is neither a folder nor a .tar{}", detected(src)),
            src.display(),
            "give one of these (decompressed), or a list of files with --list",
        )),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(missing(src)),
        Err(error) => Err(ToolError::read(src)(error)),
    }
}

/// There is no such source.
pub(crate) fn missing(src: &Path) -> ToolError {
    let what = "the source folder does not exist";
    ToolError::data(what, src.display(), "check the path")
}

/// What the file looks like by its first bytes.
fn detected(src: &Path) -> String {
    let mut first = Vec::new();
    let file = fs::File::open(src).map(|file| file.take(512));
    let read = file.and_then(|mut file| file.read_to_end(&mut first));
    match read {
        Ok(_) => format!(" (detected: {})", content_name(&first)),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for file in files {
            let path = folder.path().join(file);
            if file.ends_with('/') {
                fs::create_dir_all(path).expect("made");
                continue;
            }
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, b"x").expect("written");
        }
        folder
    }

    fn list(src: &Path) -> Result<Source, ToolError> {
        let mut source = Source::default();
        add(src, &Labels::None, &mut source).map(|()| source)
    }

    fn refused(src: &Path) -> String {
        list(src).map(drop).expect_err("refused").to_string()
    }

    fn listed(files: &[&str]) -> Vec<String> {
        let folder = tree(files);
        let source = list(folder.path()).expect("lists");
        let line = |entry: u32| {
            let candidate = source.catalogue.candidate(entry);
            let class = candidate.group.class.as_deref().unwrap_or("?");
            let name = String::from_utf8_lossy(candidate.name);
            format!("{}:{class}:{name}", candidate.group.split)
        };
        let mut lines: Vec<String> = (0..source.catalogue.len() as u32).map(line).collect();
        lines.sort();
        lines
    }

    #[test]
    fn a_source_called_val_is_val() {
        let folder = tree(&["val/cat/a.jpg", "val/dog/b.jpg"]);
        let source = list(&folder.path().join("val")).expect("lists");
        assert!(source.has_val() && source.catalogue.groups().len() == 2);
    }

    #[test]
    fn a_class_that_holds_splits_is_noted() {
        let folder = tree(&["data/train/cat/a.jpg", "assets/logo.png"]);
        let source = list(folder.path()).expect("lists");
        assert!(
            source
                .notes
                .iter()
                .any(|note| note.contains("is taken for a class, though"))
        );
    }

    #[test]
    fn folders_around_the_one_with_the_images_are_left_out() {
        let files = [
            "k/ILSVRC/Data/CLS-LOC/train/n01/a.JPEG",
            "k/ILSVRC/Data/CLS-LOC/train/n02/b.JPEG",
            "k/ILSVRC/Data/CLS-LOC/test/c.JPEG",
            "k/ILSVRC/Annotations/n01/a.xml",
            "k/solution.csv",
        ];
        assert_eq!(listed(&files), ["train:n01:a.JPEG", "train:n02:b.JPEG"]);
        let folder = tree(&files);
        let source = list(folder.path()).expect("lists");
        assert_eq!(source.skips.number(), 3);
        let outer = folder.path().join(OsStr::from_bytes(b"k\xff"));
        fs::rename(folder.path().join("k"), outer).expect("renamed");
        let source = list(folder.path()).expect("lists");
        assert_eq!((source.skips.number(), source.catalogue.len()), (3, 2));
        assert_eq!(
            listed(&["photos/cat/x/a.jpg", "photos/dog/b.jpg"]),
            ["train:cat:x/a.jpg", "train:dog:b.jpg"]
        );
    }

    #[test]
    fn files_outside_of_class_folders_and_hidden_ones_are_reported() {
        let folder = tree(&["cat/a.jpg", "readme.txt", "cat/.DS_Store"]);
        let source = list(folder.path()).expect("lists");
        assert_eq!(source.skips.number(), 2);
    }

    #[test]
    fn a_flat_split_needs_labels_and_gets_its_classes_from_them() {
        let folder = tree(&["train/cat/a.jpg", "val/b.jpg", "val/c.jpg"]);
        assert!(refused(folder.path()).contains("in no class folder"));
        let file = folder.path().join("labels");
        fs::write(&file, "b.jpg,cat").expect("written");
        let labels = Labels::load(Some(&file), &[]).expect("loads");
        let mut source = Source::default();
        add(folder.path(), &labels, &mut source).expect("lists");
        let candidate = source.catalogue.candidate(1);
        assert_eq!(candidate.key(), "cat/b");
        // `c.jpg` has no label, and the file of labels is in no class folder.
        assert_eq!(source.skips.number(), 2);
    }

    #[test]
    fn a_loop_of_links_ends() {
        let folder = tree(&["cat/a.jpg"]);
        let cat = folder.path().join("cat");
        std::os::unix::fs::symlink(&cat, cat.join("again")).expect("linked");
        std::os::unix::fs::symlink(folder.path().join("nowhere"), cat.join("dangling"))
            .expect("linked");
        let source = list(folder.path()).expect("lists");
        assert_eq!(source.catalogue.len(), 1);
        let candidate = source.catalogue.candidate(0);
        assert_eq!(candidate.name, &b"a.jpg"[..]);
        assert_eq!(source.skips.number(), 2);
    }

    #[test]
    fn missing_and_empty_folders_are_told_apart() {
        let folder = tree(&["flat/a.jpg", "empty/"]);
        let path = |name: &str| folder.path().join(name);
        assert!(refused(&path("missing")).contains("does not exist"));
        assert!(refused(&path("flat/a.jpg")).contains("neither a folder nor a .tar"));
        assert!(refused(&path("empty")).contains("is empty"));
    }
}
