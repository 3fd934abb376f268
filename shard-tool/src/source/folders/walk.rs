//! Names in folders, as the file system gives them. Links are followed; a folder of a class is visited once, and never one that
//! is listed for itself, so that a loop of links ends and a link upwards does not mix classes.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{ToolError, is_lack_of_descriptors};
use crate::report::counts::Reasons;
use crate::source::skipped::{NOT_A_FILE, why_hidden};

const LISTED_ALREADY: &str = "a link to a folder that is listed already";

/// Takes a file, and may skip it.
type Take<'a, Name> = &'a mut dyn FnMut(Name, &mut Reasons) -> Result<(), ToolError>;

/// What tells one folder from another.
pub(super) type Identity = (u64, u64);

/// Walks through folders, without the folders that are listed for themselves.
#[derive(Debug)]
pub(super) struct Walker {
    /// Those that hold class folders, and all above.
    above: HashSet<Identity>,
    class_folders: HashSet<Identity>,
}

impl Walker {
    /// For the folder `src`, its split folders, and their class folders.
    pub(super) fn new(
        src: &Path,
        splits: impl Iterator<Item = PathBuf>,
        class_folders: impl Iterator<Item = PathBuf>,
    ) -> Self {
        let whole = fs::canonicalize(src).unwrap_or_else(|_| src.to_owned());
        let above = whole.ancestors().map(Path::to_owned);
        // A folder that is gone by now is found missing when it is its turn.
        let known = |dir: PathBuf| identity(&dir).ok();
        Self {
            above: above.chain(splits).filter_map(known).collect(),
            class_folders: class_folders.filter_map(known).collect(),
        }
    }

    /// Calls `take` for all files under `root`, by their paths below it. A folder that cannot be listed is skipped.
    pub(super) fn files(
        &self,
        root: &Path,
        skips: &mut Reasons,
        take: Take<'_, PathBuf>,
    ) -> Result<(), ToolError> {
        let mut seen = HashSet::new();
        match identity(root) {
            Ok(found) if self.above.contains(&found) => {
                skips.add(LISTED_ALREADY, root.display());
                return Ok(());
            }
            found => seen.extend(found),
        }
        self.walk(root, Path::new(""), &mut seen, skips, take)
    }

    /// Whether the folder has had its turn, or will have it.
    fn is_listed(&self, folder: Identity, seen: &mut HashSet<Identity>) -> bool {
        let is_own = self.above.contains(&folder) || self.class_folders.contains(&folder);
        is_own || !seen.insert(folder)
    }

    fn walk(
        &self,
        root: &Path,
        below: &Path,
        seen: &mut HashSet<Identity>,
        skips: &mut Reasons,
        take: Take<'_, PathBuf>,
    ) -> Result<(), ToolError> {
        let dir = root.join(below);
        let mut take_file = |file, skips: &mut Reasons| take(below.join(file), skips);
        let folders = match entries(&dir, skips, &mut take_file)? {
            Ok(folders) => folders,
            Err(error) if is_lack_of_descriptors(&error) => {
                return Err(ToolError::read(&dir)(error));
            }
            Err(error) => {
                skip_unlisted(&dir, &error, skips);
                return Ok(());
            }
        };
        for folder in folders {
            let below = below.join(folder);
            let dir = root.join(&below);
            match identity(&dir) {
                Ok(found) if self.is_listed(found, seen) => {
                    skips.add(LISTED_ALREADY, dir.display())
                }
                Ok(_) => self.walk(root, &below, seen, skips, take)?,
                Err(error) => skip_unlisted(&dir, &error, skips),
            }
        }
        Ok(())
    }
}

/// Calls `take` for the files in `dir`; gives the names of its folders, sorted. What is neither is skipped.
///
/// # Errors
/// If `dir` cannot be listed, and those of `take`.
pub(super) fn list(
    dir: &Path,
    skips: &mut Reasons,
    take: Take<'_, OsString>,
) -> Result<Vec<OsString>, ToolError> {
    entries(dir, skips, take)?.map_err(ToolError::read(dir))
}

/// Names of the folders in `dir`, sorted.
pub(super) fn folders_in(dir: &Path) -> Result<Vec<OsString>, ToolError> {
    // What is skipped is counted when the folder is listed for good.
    list(dir, &mut Reasons::default(), &mut |_, _| Ok(()))
}

/// The inner result is that of listing.
fn entries(
    dir: &Path,
    skips: &mut Reasons,
    take: Take<'_, OsString>,
) -> Result<io::Result<Vec<OsString>>, ToolError> {
    let mut folders = Vec::new();
    let listed = match fs::read_dir(dir) {
        Ok(listed) => listed,
        Err(error) => return Ok(Err(error)),
    };
    for entry in listed {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return Ok(Err(error)),
        };
        let name = entry.file_name();
        if let Some(why) = why_hidden(name.as_bytes()) {
            skips.add(why, entry.path().display());
            continue;
        }
        match target_type(&entry) {
            Ok(kind) if kind.is_dir() => folders.push(name),
            Ok(kind) if kind.is_file() => take(name, skips)?,
            Ok(_) => skips.add(NOT_A_FILE, entry.path().display()),
            Err(_) => skips.add("a link that leads nowhere", entry.path().display()),
        }
    }
    folders.sort_unstable();
    Ok(Ok(folders))
}

/// The type of what the entry is or links to.
fn target_type(entry: &fs::DirEntry) -> io::Result<fs::FileType> {
    let kind = entry.file_type()?;
    if kind.is_symlink() {
        Ok(fs::metadata(entry.path())?.file_type())
    } else {
        Ok(kind)
    }
}

pub(super) fn identity(dir: &Path) -> io::Result<Identity> {
    let metadata = fs::metadata(dir)?;
    Ok((metadata.dev(), metadata.ino()))
}

fn skip_unlisted(dir: &Path, error: &io::Error, skips: &mut Reasons) {
    let why = format!("a folder that cannot be listed ({})", error.kind());
    skips.add(&why, dir.display());
}
