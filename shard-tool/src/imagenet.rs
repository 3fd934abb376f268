//! Finds the files of a source folder: `SRC/{train,val}/<class>/...` or `SRC/<class>/...`.
//!
//! It lists names only and opens no file. Links are followed, each folder of a class is visited
//! once, so that a loop of links ends. SRC counts as split when `SRC/train` or `SRC/val` holds
//! folders; otherwise a folder `train` would be a class like any other.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use shard_format::name;

use crate::error::ToolError;
use crate::report::Skips;

/// The split of a source without split folders.
pub(crate) const TRAIN: &str = "train";
/// The split for validation.
pub(crate) const VAL: &str = "val";

/// A source folder, listed.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// One per class and split, by split and then by name.
    pub(crate) folders: Vec<ClassFolder>,
    /// Whether SRC has a folder for validation.
    pub(crate) has_val: bool,
    /// What was found and is no candidate.
    pub(crate) skips: Skips,
    /// Folders beside the split folders, which are left out.
    pub(crate) ignored_folders: Vec<PathBuf>,
}

/// The candidates of one class in one split.
#[derive(Debug)]
pub(crate) struct ClassFolder {
    pub(crate) split: &'static str,
    /// Class name, escaped.
    pub(crate) class: String,
    pub(crate) dir: PathBuf,
    /// Paths below `dir`, in order of their bytes.
    pub(crate) files: Vec<PathBuf>,
}

/// Lists the candidates under `src`.
///
/// # Errors
/// If `src` is missing, empty, without class folders, or cannot be listed.
pub(crate) fn list(src: &Path) -> Result<Listing, ToolError> {
    check_is_folder(src)?;
    let mut listing = Listing::default();
    let (mut folders, files) = entries(src, &mut listing.skips)?;
    if folders.is_empty() && files.is_empty() {
        return Err(ToolError::EmptySource(src.to_owned()));
    }
    skip_strays(src, &files, &mut listing.skips);
    let splits = split_folders(src)?;
    if splits.is_empty() {
        add_class_folders(TRAIN, src, folders, &mut listing)?;
    } else {
        folders.retain(|folder| splits.iter().all(|split| folder != split));
        listing.ignored_folders = folders.into_iter().map(|folder| src.join(folder)).collect();
        for split in splits {
            let dir = src.join(split);
            let (folders, files) = entries(&dir, &mut listing.skips)?;
            skip_strays(&dir, &files, &mut listing.skips);
            listing.has_val |= split == VAL;
            add_class_folders(split, &dir, folders, &mut listing)?;
        }
    }
    if listing.folders.is_empty() {
        return Err(ToolError::NoClassFolders(src.to_owned()));
    }
    Ok(listing)
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
    listing: &mut Listing,
) -> Result<(), ToolError> {
    for folder in folders {
        let class = name::escape_class(folder.as_bytes());
        let dir = dir.join(folder);
        let mut files = Vec::new();
        let mut seen = HashSet::new();
        walk(
            &dir,
            Path::new(""),
            &mut seen,
            &mut files,
            &mut listing.skips,
        )?;
        files.sort_unstable_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
        listing.folders.push(ClassFolder {
            split,
            class,
            dir,
            files,
        });
    }
    Ok(())
}

/// Adds the files under `root/below`, visiting each folder once.
fn walk(
    root: &Path,
    below: &Path,
    seen: &mut HashSet<(u64, u64)>,
    found: &mut Vec<PathBuf>,
    skips: &mut Skips,
) -> Result<(), ToolError> {
    let dir = root.join(below);
    let metadata = fs::metadata(&dir).map_err(ToolError::read(&dir))?;
    if !seen.insert((metadata.dev(), metadata.ino())) {
        skips.add("a link to a folder that is listed already", &dir);
        return Ok(());
    }
    let (folders, files) = entries(&dir, skips)?;
    found.extend(files.iter().map(|file| below.join(file)));
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

    fn listed(files: &[&str]) -> Vec<String> {
        let folder = tree(files);
        let listing = list(folder.path()).expect("lists");
        let line = |folder: &ClassFolder| {
            folder
                .files
                .iter()
                .map(|file| format!("{}:{}:{}", folder.split, folder.class, file.display()))
                .collect::<Vec<_>>()
        };
        listing.folders.iter().flat_map(line).collect()
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
        let listing = list(folder.path()).expect("lists");
        assert_eq!(listing.skips.num_files(), 2);
    }

    #[test]
    fn a_loop_of_links_ends() {
        let folder = tree(&["cat/a.jpg"]);
        let cat = folder.path().join("cat");
        std::os::unix::fs::symlink(&cat, cat.join("again")).expect("linked");
        std::os::unix::fs::symlink(folder.path().join("nowhere"), cat.join("dangling"))
            .expect("linked");
        let listing = list(folder.path()).expect("lists");
        assert_eq!(listing.folders[0].files, [PathBuf::from("a.jpg")]);
        assert_eq!(listing.skips.num_files(), 2);
    }

    #[test]
    fn missing_empty_and_flat_folders_are_told_apart() {
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
        assert!(matches!(
            list(&path("flat")),
            Err(ToolError::NoClassFolders(_))
        ));
    }
}
