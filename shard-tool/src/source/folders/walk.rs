//! Names in folders, as the file system gives them. Links are followed; a folder of a class is visited once, and never one that
//! is listed for itself, so that a loop of links ends and a link upwards does not mix classes. All paths are below the source.

use std::collections::HashSet;
use std::fs::{self, DirEntry, FileType};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{ToolError, is_lack_of_descriptors};
use crate::source::skipped::{NOT_A_FILE, why_hidden};

const LISTED_ALREADY: &str = "a link to a folder that is listed already";

/// What is met on the way.
pub(super) enum Found<'f> {
    File(PathBuf),
    /// What is not packed, and why.
    Skipped(PathBuf, &'f str),
}

/// Takes what is met.
pub(super) type Visit<'a> = &'a mut dyn FnMut(Found<'_>) -> Result<(), ToolError>;

/// What tells one folder from another.
type Identity = (u64, u64);

/// Walks through folders, without the folders that are listed for themselves.
#[derive(Debug)]
pub(super) struct Walker<'a> {
    src: &'a Path,
    /// Those that hold class folders, and all above.
    above: HashSet<Identity>,
    class_folders: HashSet<Identity>,
}

impl<'a> Walker<'a> {
    /// For the folder `src`, the folders in it that hold class folders, and these.
    pub(super) fn new(src: &'a Path, above: &[PathBuf], class_folders: &[PathBuf]) -> Self {
        let whole = fs::canonicalize(src).unwrap_or_else(|_| src.to_owned());
        // A folder that is gone by now is found missing when it is its turn.
        let below = |dir: &PathBuf| identity(&src.join(dir)).ok();
        let outside = whole.ancestors().filter_map(|dir| identity(dir).ok());
        Self {
            src,
            above: outside.chain(above.iter().filter_map(below)).collect(),
            class_folders: class_folders.iter().filter_map(below).collect(),
        }
    }

    /// Visits all files in a folder, however deep. A folder that cannot be listed is skipped.
    pub(super) fn files(&self, root: PathBuf, visit: Visit<'_>) -> Result<(), ToolError> {
        let mut seen = HashSet::new();
        match identity(&self.src.join(&root)) {
            Ok(found) if self.above.contains(&found) => {
                return visit(Found::Skipped(root, LISTED_ALREADY));
            }
            found => seen.extend(found),
        }
        self.walk(root, &mut seen, visit)
    }

    /// Whether the folder has had its turn, or will have it.
    fn is_listed(&self, folder: Identity, seen: &mut HashSet<Identity>) -> bool {
        let is_own = self.above.contains(&folder) || self.class_folders.contains(&folder);
        is_own || !seen.insert(folder)
    }

    fn walk(
        &self,
        dir: PathBuf,
        seen: &mut HashSet<Identity>,
        visit: Visit<'_>,
    ) -> Result<(), ToolError> {
        let folders = match entries(self.src, &dir, visit)? {
            Ok(folders) => folders,
            Err(error) => return self.skip_unlisted(dir, error, visit),
        };
        for folder in folders {
            match identity(&self.src.join(&folder)) {
                Ok(found) if self.is_listed(found, seen) => {
                    visit(Found::Skipped(folder, LISTED_ALREADY))?;
                }
                Ok(_) => self.walk(folder, seen, visit)?,
                Err(error) => self.skip_unlisted(folder, error, visit)?,
            }
        }
        Ok(())
    }

    fn skip_unlisted(
        &self,
        dir: PathBuf,
        error: io::Error,
        visit: Visit<'_>,
    ) -> Result<(), ToolError> {
        if is_lack_of_descriptors(&error) {
            return Err(ToolError::read(self.src.join(dir))(error));
        }
        let why = format!("a folder that cannot be listed ({})", error.kind());
        visit(Found::Skipped(dir, &why))
    }
}

/// Calls `take` for all files in `src`, once: first for those that no link leads to.
///
/// # Errors
/// If `src` cannot be listed. What lies in it and cannot be is passed over.
pub(super) fn survey(src: &Path, take: &mut dyn FnMut(&Path)) -> Result<(), ToolError> {
    let mut take_file = |found: Found<'_>| {
        if let Found::File(path) = found {
            take(&path);
        }
        Ok(())
    };
    let (mut seen, mut links) = (HashSet::new(), Vec::new());
    let mut folders = list(src, Path::new(""), &mut take_file)?;
    seen.extend(identity(src));
    loop {
        // A link comes when all folders have had their turn.
        let folder = folders.pop().map(|folder| (folder, false));
        let next = folder.or_else(|| Some((links.pop()?, true)));
        let Some((folder, is_last)) = next else {
            return Ok(());
        };
        let dir = src.join(&folder);
        if !is_last && dir.is_symlink() {
            links.push(folder);
        } else if identity(&dir).is_ok_and(|found| seen.insert(found)) {
            folders.extend(entries(src, &folder, &mut take_file)?.unwrap_or_default());
        }
    }
}

/// Visits the files in a folder; gives its folders, sorted. What is neither is skipped.
///
/// # Errors
/// If it cannot be listed, and those of `visit`.
pub(super) fn list(src: &Path, dir: &Path, visit: Visit<'_>) -> Result<Vec<PathBuf>, ToolError> {
    entries(src, dir, visit)?.map_err(ToolError::read(src.join(dir)))
}

/// The inner result is that of listing.
fn entries(
    src: &Path,
    dir: &Path,
    visit: Visit<'_>,
) -> Result<io::Result<Vec<PathBuf>>, ToolError> {
    let mut folders = Vec::new();
    let listed = match fs::read_dir(src.join(dir)) {
        Ok(listed) => listed,
        Err(error) => return Ok(Err(error)),
    };
    for entry in listed {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return Ok(Err(error)),
        };
        let path = dir.join(entry.file_name());
        if let Some(why) = why_hidden(entry.file_name().as_bytes()) {
            visit(Found::Skipped(path, why))?;
            continue;
        }
        match target_type(&entry) {
            Ok(kind) if kind.is_dir() => folders.push(path),
            Ok(kind) if kind.is_file() => visit(Found::File(path))?,
            Ok(_) => visit(Found::Skipped(path, NOT_A_FILE))?,
            Err(_) => visit(Found::Skipped(path, "a link that leads nowhere"))?,
        }
    }
    folders.sort_unstable();
    Ok(Ok(folders))
}

/// The type of what the entry is or links to.
fn target_type(entry: &DirEntry) -> io::Result<FileType> {
    let kind = entry.file_type()?;
    if kind.is_symlink() {
        Ok(fs::metadata(entry.path())?.file_type())
    } else {
        Ok(kind)
    }
}

fn identity(dir: &Path) -> io::Result<Identity> {
    let metadata = fs::metadata(dir)?;
    Ok((metadata.dev(), metadata.ino()))
}
