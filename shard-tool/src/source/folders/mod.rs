//! Folders: `SRC/{train,val}/<class>/...`, `SRC/<class>/...`, or images alone.
//!
//! It lists names only and opens no file; names go to the catalogue as they come. Folders around the one that holds splits or
//! classes are left out ([`wrappers`]). `train` and `val` are splits when one of them holds folders, or when no other folder holds
//! images; else they are classes like any other. Images that lie in no class folder get their classes from the labels, where
//! there are any.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use image_decode::content_name;
use shard_format::name;

use super::catalogue::{Group, Place};
use super::contents::Source;
use super::labels::{Labels, Said};
use super::skipped::{BESIDE_SPLITS, NOT_IN_CLASS, NOT_IN_LABELS};
use super::splits::{TEST, TRAIN, VAL};
use crate::error::ToolError;
use walk::{Walker, folders_in, list};

mod walk;
mod wrappers;

/// A folder that holds class folders, or images alone.
struct Split {
    name: &'static str,
    dir: PathBuf,
    class_folders: Vec<OsString>,
}

/// Adds the candidates under `src`.
///
/// # Errors
/// If `src` is missing or empty, it or a split folder cannot be listed, or `val` is flat and there are no labels.
pub(super) fn add(src: &Path, labels: &Labels, source: &mut Source) -> Result<(), ToolError> {
    check_is_folder(src)?;
    let dir = wrappers::inside(src)?;
    let mut splits = split_folders(&dir)?;
    let has_splits = !splits.is_empty();
    if !has_splits {
        splits.push(Split::at(split_called(src), dir.clone())?);
    }
    let walker = walker(&dir, &splits);
    if dir != src {
        let below = dir.display();
        source
            .notes
            .push(format!("classes are looked for in {below}"));
        skip_around(src, &dir, &walker, source)?;
    }
    if has_splits {
        let splits: Vec<&OsStr> = splits.iter().map(|split| split.name.as_ref()).collect();
        skip_beside(&dir, &splits, BESIDE_SPLITS, &walker, source)?;
    }
    let before = (source.catalogue.groups().len(), source.num_flat);
    for split in &splits {
        if split.class_folders.is_empty() {
            add_flat(split, labels, &walker, source)?;
        } else {
            add_class_folders(split, &walker, source)?;
        }
    }
    if (source.catalogue.groups().len(), source.num_flat) == before {
        return Err(ToolError::data(
            "the source folder is empty",
            src.display(),
            "it should hold {train,val}/<class>/<images> or <class>/<images>",
        ));
    }
    Ok(())
}

/// Images of val need classes.
pub(super) fn flat_without_labels(place: &Path) -> ToolError {
    ToolError::usage(
        "these images lie in no class folder",
        place.display(),
        "give their classes with --labels FILE (a list `file,class`, or the ILSVRC2012 devkit)",
    )
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

/// `train` and `val`, if one of them holds folders (the other may then be flat or empty), or if no other folder holds images, which
/// would be a class beside them.
fn split_folders(src: &Path) -> Result<Vec<Split>, ToolError> {
    let dirs = [TRAIN, VAL].map(|name| (name, src.join(name)));
    let there = dirs.into_iter().filter(|(_, dir)| dir.is_dir());
    let splits: Vec<Split> = there
        .map(|(name, dir)| Split::at(name, dir))
        .collect::<Result<_, _>>()?;
    let has_folders = splits.iter().any(|split| !split.class_folders.is_empty());
    let may_be_beside = |folder: &OsString| {
        let is_known = [TRAIN, VAL, TEST].iter().any(|name| folder == name);
        is_known || !wrappers::holds_images(&src.join(folder))
    };
    let are_splits = has_folders || folders_in(src)?.iter().all(may_be_beside);
    Ok(if are_splits { splits } else { Vec::new() })
}

/// The split of a source without splits: that of its own name.
fn split_called(src: &Path) -> &'static str {
    match src.file_name() {
        Some(name) if name == VAL => VAL,
        _ => TRAIN,
    }
}

impl Split {
    fn at(name: &'static str, dir: PathBuf) -> Result<Self, ToolError> {
        let level = wrappers::Level::of(&dir)?;
        // Beside images, folders without any are no classes.
        let is_flat =
            level.has_images && !level.folders.iter().any(|dir| wrappers::holds_images(dir));
        let class_folders = if is_flat {
            Vec::new()
        } else {
            folders_in(&dir)?
        };
        Ok(Self {
            name,
            dir,
            class_folders,
        })
    }
}

fn walker(src: &Path, splits: &[Split]) -> Walker {
    let class_folders = splits.iter().flat_map(|split| {
        let folders = split.class_folders.iter();
        folders.map(|folder| split.dir.join(folder))
    });
    let dirs = splits.iter().map(|split| split.dir.clone());
    Walker::new(src, dirs, class_folders)
}

/// Reports what lies around `dir`, which lies in `src`, file by file.
fn skip_around(
    src: &Path,
    dir: &Path,
    walker: &Walker,
    source: &mut Source,
) -> Result<(), ToolError> {
    let around = dir.ancestors().zip(dir.ancestors().skip(1));
    for (kept, outer) in around.take_while(|(kept, _)| *kept != src) {
        let kept = kept.file_name();
        skip_beside(outer, kept.as_slice(), NOT_IN_CLASS, walker, source)?;
    }
    Ok(())
}

/// Reports what lies beside these folders of `dir`, file by file.
fn skip_beside(
    dir: &Path,
    kept: &[&OsStr],
    reason: &str,
    walker: &Walker,
    source: &mut Source,
) -> Result<(), ToolError> {
    let skips = &mut source.skips;
    let folders = list(dir, skips, &mut |file, skips| {
        skips.add(NOT_IN_CLASS, dir.join(file).display());
        Ok(())
    })?;
    let is_kept = |folder: &OsString| kept.contains(&folder.as_os_str());
    for folder in folders.into_iter().filter(|folder| !is_kept(folder)) {
        let dir = dir.join(folder);
        walker.files(&dir, skips, &mut |file, skips| {
            skips.add(reason, dir.join(file).display());
            Ok(())
        })?;
    }
    Ok(())
}

fn add_class_folders(split: &Split, walker: &Walker, source: &mut Source) -> Result<(), ToolError> {
    let Source {
        catalogue,
        skips,
        notes,
        ..
    } = source;
    list(&split.dir, skips, &mut |file, skips| {
        skips.add(NOT_IN_CLASS, split.dir.join(file).display());
        Ok(())
    })?;
    for folder in &split.class_folders {
        let dir = split.dir.join(folder);
        if [TRAIN, VAL].iter().any(|split| dir.join(split).is_dir()) {
            let dir = dir.display();
            notes.push(format!(
                "{dir} is taken for a class, though it holds a folder `train` or `val`; give it as the source if these are splits"
            ));
        }
        let group = catalogue.add_group(Group {
            split: split.name,
            class: Some(name::escape_class(folder.as_bytes())),
            place: Place::Folder(dir.clone()),
        });
        walker.files(&dir, skips, &mut |file, _| {
            catalogue.add_file(group, file.as_os_str().as_bytes())
        })?;
    }
    Ok(())
}

/// Adds images that lie in no class folder, each to the class that the labels give it.
fn add_flat(
    split: &Split,
    labels: &Labels,
    walker: &Walker,
    source: &mut Source,
) -> Result<(), ToolError> {
    let Source {
        catalogue, skips, ..
    } = source;
    let (mut groups, mut num_files) = (BTreeMap::new(), 0);
    let folders = list(&split.dir, skips, &mut |file, skips| {
        num_files += 1;
        let class = match labels.say(file.as_bytes()) {
            Said::Class(class) => Some(class.to_owned()),
            Said::NoLabels if split.name == VAL => {
                return Err(flat_without_labels(&split.dir));
            }
            Said::NoLabels => None,
            Said::Unknown => {
                skips.add(NOT_IN_LABELS, split.dir.join(file).display());
                return Ok(());
            }
        };
        let group = *groups.entry(class.clone()).or_insert_with(|| {
            catalogue.add_group(Group {
                split: split.name,
                class,
                place: Place::Folder(split.dir.clone()),
            })
        });
        catalogue.add_file(group, file.as_bytes())
    })?;
    for folder in folders {
        let dir = split.dir.join(folder);
        walker.files(&dir, skips, &mut |file, skips| {
            skips.add(NOT_IN_CLASS, dir.join(file).display());
            Ok(())
        })?;
    }
    source.num_flat += num_files;
    if groups.contains_key(&None) {
        source.note_unlabelled(&split.dir, num_files);
    }
    let labelled = groups.into_iter().filter(|(class, _)| class.is_some());
    source.by_label.extend(labelled.map(|(_, group)| group));
    Ok(())
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
    fn class_folders_alone_are_all_train() {
        assert_eq!(
            listed(&["cat/a.jpg", "dog/b.jpg"]),
            ["train:cat:a.jpg", "train:dog:b.jpg"]
        );
    }

    #[test]
    fn split_folders_are_recognised() {
        let expected = ["train:cat:a.jpg", "val:cat:b.jpg"];
        assert_eq!(
            listed(&["train/cat/a.jpg", "val/cat/b.jpg", "notes/x/c.jpg"]),
            expected
        );
    }

    #[test]
    fn a_class_called_train_is_a_class_when_it_holds_images_only() {
        assert_eq!(
            listed(&["plane/a.jpg", "train/b.jpg"]),
            ["train:plane:a.jpg", "train:train:b.jpg"]
        );
    }

    #[test]
    fn train_and_val_without_other_folders_are_splits_even_if_they_are_flat() {
        assert_eq!(listed(&["train/a.jpg", "test/b.jpg"]), ["train:?:a.jpg"]);
        let flat = tree(&["train/a.jpg", "val/b.jpg", "annotations/a.xml"]);
        assert!(refused(flat.path()).contains("in no class folder"));
    }

    #[test]
    fn folders_without_images_beside_images_are_no_classes() {
        assert_eq!(
            listed(&["a.jpg", "b.jpg", "meta/x.txt"]),
            ["train:?:a.jpg", "train:?:b.jpg"]
        );
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
    fn folders_inside_of_a_class_belong_to_it() {
        assert_eq!(
            listed(&["cat/sub/a.jpg", "cat/b.jpg"]),
            ["train:cat:b.jpg", "train:cat:sub/a.jpg"]
        );
    }

    #[test]
    fn files_outside_of_class_folders_and_hidden_ones_are_reported() {
        let folder = tree(&["cat/a.jpg", "readme.txt", "cat/.DS_Store"]);
        let source = list(folder.path()).expect("lists");
        assert_eq!(source.skips.number(), 2);
    }

    #[test]
    fn images_alone_have_no_label() {
        assert_eq!(
            listed(&["a.jpg", "b.jpg"]),
            ["train:?:a.jpg", "train:?:b.jpg"]
        );
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
