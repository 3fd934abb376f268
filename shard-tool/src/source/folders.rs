//! Folders: `SRC/{train,val}/<class>/...`, `SRC/<class>/...`, or images alone.
//!
//! It lists names only and opens no file. Links are followed, each folder of a class is visited
//! once, so that a loop of links ends. SRC counts as split when `SRC/train` or `SRC/val` holds
//! folders; otherwise a folder `train` would be a class like any other. Images that lie in no class folder get their
//! classes from the labels, where there are any.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use shard_format::name;

use super::labels::Labels;
use super::{Group, Place, Source, TRAIN, VAL};
use crate::error::ToolError;
use crate::report::{Skips, counted};

/// Adds the candidates under `src`.
///
/// # Errors
/// If `src` is missing or empty, cannot be listed, or has a flat `val` and there are no labels.
pub(super) fn add(src: &Path, labels: &Labels, source: &mut Source) -> Result<(), ToolError> {
    check_is_folder(src)?;
    let (folders, files) = entries(src, &mut source.skips)?;
    if folders.is_empty() && files.is_empty() {
        return Err(ToolError::EmptySource(src.to_owned()));
    }
    if folders.is_empty() {
        return add_flat(TRAIN, src, &files, labels, source);
    }
    skip_strays(src, &files, &mut source.skips);
    let splits = split_folders(src)?;
    if splits.is_empty() {
        return add_class_folders(TRAIN, src, folders, source);
    }
    for folder in folders
        .iter()
        .filter(|folder| splits.iter().all(|split| folder != split))
    {
        let folder = src.join(folder);
        let note = format!(
            "left out, since it is beside train and val: {}",
            folder.display()
        );
        source.notes.push(note);
    }
    splits
        .into_iter()
        .try_for_each(|split| add_split(split, &src.join(split), labels, source))
}

fn add_split(
    split: &'static str,
    dir: &Path,
    labels: &Labels,
    source: &mut Source,
) -> Result<(), ToolError> {
    let (folders, files) = entries(dir, &mut source.skips)?;
    if !folders.is_empty() {
        skip_strays(dir, &files, &mut source.skips);
        return add_class_folders(split, dir, folders, source);
    }
    if labels.is_none() && !files.is_empty() {
        return Err(ToolError::FlatSplit(dir.to_owned()));
    }
    add_flat(split, dir, &files, labels, source)
}

/// Adds images that lie in no class folder, each to the class that the labels give it.
fn add_flat(
    split: &'static str,
    dir: &Path,
    files: &[OsString],
    labels: &Labels,
    source: &mut Source,
) -> Result<(), ToolError> {
    let mut groups = std::collections::BTreeMap::new();
    for file in files {
        let class = labels.class_of(file.as_bytes()).map(str::to_owned);
        if class.is_none() && !labels.is_none() {
            source
                .skips
                .add("not in the file of labels", &dir.join(file));
            continue;
        }
        let group = *groups.entry(class.clone()).or_insert_with(|| {
            let place = Place::Folder(dir.to_owned());
            source.catalogue.add_group(Group {
                split,
                class,
                place,
            })
        });
        source.catalogue.add_file(group, file.as_bytes())?;
    }
    if labels.is_none() {
        let files = counted(files.len() as u64, "file");
        let note = format!(
            "no class folders in {}: {files} without labels",
            dir.display()
        );
        source.notes.push(note);
    }
    Ok(())
}

fn check_is_folder(src: &Path) -> Result<(), ToolError> {
    match fs::metadata(src) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(ToolError::SourceNotAFolder(src.to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(ToolError::MissingSource(src.to_owned()))
        }
        Err(source) => Err(ToolError::Read {
            path: src.to_owned(),
            source,
        }),
    }
}

/// Which of `train` and `val` are folders that hold folders.
fn split_folders(src: &Path) -> Result<Vec<&'static str>, ToolError> {
    let mut splits = Vec::new();
    for split in [TRAIN, VAL] {
        let dir = src.join(split);
        // Strays below are counted when the split is listed for good.
        if dir.is_dir() && !entries(&dir, &mut Skips::default())?.0.is_empty() {
            splits.push(split);
        }
    }
    // With one split folder known, the other is one too, even if it is empty or flat.
    if splits == [TRAIN] && src.join(VAL).is_dir() {
        splits.push(VAL);
    }
    Ok(splits)
}

fn skip_strays(dir: &Path, files: &[OsString], skips: &mut Skips) {
    files
        .iter()
        .for_each(|file| skips.add("not in a class folder", &dir.join(file)));
}

fn add_class_folders(
    split: &'static str,
    dir: &Path,
    folders: Vec<OsString>,
    source: &mut Source,
) -> Result<(), ToolError> {
    for folder in folders {
        let class = Some(name::escape_class(folder.as_bytes()));
        let dir = dir.join(folder);
        let (mut files, mut seen) = (Vec::new(), HashSet::new());
        walk(
            &dir,
            Path::new(""),
            &mut seen,
            &mut files,
            &mut source.skips,
        )?;
        files.sort_unstable();
        let place = Place::Folder(dir);
        let group = source.catalogue.add_group(Group {
            split,
            class,
            place,
        });
        for file in files {
            source.catalogue.add_file(group, file.as_bytes())?;
        }
    }
    Ok(())
}

/// Adds the files under `root/below`, visiting each folder once.
fn walk(
    root: &Path,
    below: &Path,
    seen: &mut HashSet<(u64, u64)>,
    found: &mut Vec<OsString>,
    skips: &mut Skips,
) -> Result<(), ToolError> {
    let dir = root.join(below);
    let metadata = fs::metadata(&dir).map_err(ToolError::read(&dir))?;
    if !seen.insert((metadata.dev(), metadata.ino())) {
        skips.add("a link to a folder that is listed already", &dir);
        return Ok(());
    }
    let (folders, files) = entries(&dir, skips)?;
    found.extend(files.iter().map(|file| below.join(file).into_os_string()));
    for folder in folders {
        walk(root, &below.join(folder), seen, found, skips)?;
    }
    Ok(())
}

/// Names of the folders and of the files in `dir`, each sorted. What is neither is skipped.
fn entries(dir: &Path, skips: &mut Skips) -> Result<(Vec<OsString>, Vec<OsString>), ToolError> {
    let (mut folders, mut files) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(dir).map_err(ToolError::read(dir))? {
        let entry = entry.map_err(ToolError::read(dir))?;
        let name = entry.file_name();
        if name.as_bytes().starts_with(b".") {
            skips.add("hidden (the name starts with a dot)", &entry.path());
            continue;
        }
        match target_type(&entry) {
            Ok(kind) if kind.is_dir() => folders.push(name),
            Ok(kind) if kind.is_file() => files.push(name),
            Ok(_) => skips.add("neither a file nor a folder", &entry.path()),
            Err(_) => skips.add("a link that leads nowhere", &entry.path()),
        }
    }
    folders.sort_unstable();
    files.sort_unstable();
    Ok((folders, files))
}

/// The type of what the entry is or links to.
fn target_type(entry: &fs::DirEntry) -> std::io::Result<fs::FileType> {
    let kind = entry.file_type()?;
    if kind.is_symlink() {
        Ok(fs::metadata(entry.path())?.file_type())
    } else {
        Ok(kind)
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
        let mut source = Source::new(Path::new("."));
        add(src, &Labels::None, &mut source).map(|()| source)
    }

    fn listed(files: &[&str]) -> Vec<String> {
        let folder = tree(files);
        let source = list(folder.path()).expect("lists");
        let line = |entry: u32| {
            let candidate = source.catalogue.candidate(entry).expect("it is there");
            let class = candidate.group.class.as_deref().unwrap_or("?");
            let name = String::from_utf8_lossy(&candidate.name);
            format!("{}:{class}:{name}", candidate.group.split)
        };
        (0..source.catalogue.len() as u32).map(line).collect()
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
        assert_eq!(source.skips.num_files(), 2);
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
        assert!(matches!(list(folder.path()), Err(ToolError::FlatSplit(_))));
        let file = folder.path().join("labels");
        fs::write(&file, "b.jpg,cat").expect("written");
        let labels = Labels::load(Some(&file), &[]).expect("loads");
        let mut source = Source::new(Path::new("."));
        add(folder.path(), &labels, &mut source).expect("lists");
        let candidate = source.catalogue.candidate(1).expect("it is there");
        assert_eq!(candidate.key(), "cat/b");
        // `c.jpg` has no label, and the file of labels is in no class folder.
        assert_eq!(source.skips.num_files(), 2);
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
        let candidate = source.catalogue.candidate(0).expect("it is there");
        assert_eq!(candidate.name, &b"a.jpg"[..]);
        assert_eq!(source.skips.num_files(), 2);
    }

    #[test]
    fn missing_and_empty_folders_are_told_apart() {
        let folder = tree(&["flat/a.jpg", "empty/"]);
        let path = |name: &str| folder.path().join(name);
        assert!(matches!(
            list(&path("missing")),
            Err(ToolError::MissingSource(_))
        ));
        assert!(matches!(
            list(&path("flat/a.jpg")),
            Err(ToolError::SourceNotAFolder(_))
        ));
        assert!(matches!(
            list(&path("empty")),
            Err(ToolError::EmptySource(_))
        ));
    }
}
