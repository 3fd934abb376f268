//! From patterns to the tars of each split, all in one folder.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use shard_format::{IndexedInPlace, Manifest, name, pattern};

use super::options::IndexOptions;
use crate::error::ToolError;
use crate::source::splits::TRAIN;

/// The tars to be indexed.
#[derive(Debug)]
pub(super) struct ShardList {
    pub(super) dir: PathBuf,
    /// By first mention on the command line.
    pub(super) splits: Vec<SplitList>,
    num_bytes: u64,
    /// By split, relative to the folder.
    patterns: BTreeMap<String, String>,
}

/// The tars of one split.
#[derive(Debug)]
pub(super) struct SplitList {
    pub(super) name: String,
    /// Names in the folder, in the order of the patterns.
    pub(super) files: Vec<String>,
}

impl ShardList {
    /// Expands the patterns and checks that every tar is there.
    pub(super) fn find(options: &IndexOptions) -> Result<Self, ToolError> {
        let (mut paths, mut patterns) = (Vec::new(), BTreeMap::<String, String>::new());
        let positional = options.pattern.iter().map(|pattern| (TRAIN, pattern));
        let by_split = options.split.iter();
        for (split, pattern) in
            positional.chain(by_split.map(|(split, pattern)| (split.as_str(), pattern)))
        {
            let expanded = expand(pattern)?;
            let relative = relative_pattern(pattern, &expanded);
            patterns
                .entry(split.to_owned())
                .and_modify(|joined| *joined += &format!("::{relative}"))
                .or_insert(relative);
            let placed = |path| match &options.again {
                Some(dir) => (split, dir.join(path)),
                None => (split, path),
            };
            paths.extend(expanded.into_iter().map(placed));
        }
        let num_bytes = total_size(&paths)?;
        let mut list = Self {
            dir: common_folder(&paths)?,
            splits: Vec::new(),
            num_bytes,
            patterns,
        };
        let mut seen = HashSet::new();
        for (split, path) in paths {
            let file = plain_name(&path)?;
            if !seen.insert(file.clone()) {
                let (what, remedy) = ("a shard is listed twice", "name it in one split only");
                return Err(ToolError::usage(what, path.display(), remedy));
            }
            list.files_of(split).push(file);
        }
        Ok(list)
    }

    /// All that indexing the tars again needs.
    pub(super) fn how_indexed(&self, options: &IndexOptions) -> Result<IndexedInPlace, ToolError> {
        let classes = options.classes.as_deref();
        Ok(IndexedInPlace {
            patterns: self.patterns.clone(),
            classes: classes.map(|list| self.place_of(list)).transpose()?,
            label_field: options.label_field.clone(),
            allow_damaged: options.allow_damaged,
            modified_ns: BTreeMap::new(),
        })
    }

    /// Relative to the folder of the tars, if it lies there and hence goes where they go; else absolute.
    fn place_of(&self, list: &Path) -> Result<String, ToolError> {
        let absolute = |path: &Path| std::path::absolute(path).map_err(ToolError::read(path));
        let (list, dir) = (absolute(list)?, absolute(&self.dir)?);
        let place = list.strip_prefix(dir).unwrap_or(&list);
        Ok(place.to_string_lossy().into_owned())
    }

    /// Size of all tars.
    pub(super) fn num_bytes(&self) -> u64 {
        self.num_bytes
    }

    fn files_of(&mut self, split: &str) -> &mut Vec<String> {
        let known = self.splits.iter().position(|known| known.name == split);
        let at = known.unwrap_or(self.splits.len());
        if known.is_none() {
            self.splits.push(SplitList {
                name: split.to_owned(),
                files: Vec::new(),
            });
        }
        &mut self.splits[at].files
    }
}

/// The options that index the tars of the set in `dir` again as they were; patterns are those of names in the folder.
pub(super) fn as_before(dir: &Path, options: &IndexOptions) -> Result<IndexOptions, ToolError> {
    let (manifest, _) = Manifest::load_unchecked(dir)?;
    let Some(how) = manifest.indexed_in_place else {
        let what = "the set was packed, not indexed";
        return Err(ToolError::usage(what, dir.display(), "pack it again"));
    };
    Ok(IndexOptions {
        split: how.patterns.into_iter().collect(),
        classes: how.classes.map(|list| dir.join(list)),
        label_field: how.label_field,
        allow_damaged: how.allow_damaged || options.allow_damaged,
        overwrite: true,
        ..options.clone()
    })
}

/// The pattern of the names in the folder: as it was given, if that can be told from the folder; else it lists the names.
fn relative_pattern(pattern: &str, paths: &[PathBuf]) -> String {
    let name_of = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    let names: Vec<String> = paths.iter().map(name_of).collect();
    let last_part = |part: &str| {
        let local = part.strip_prefix("file:").unwrap_or(part);
        local.rsplit('/').next().unwrap_or(local).to_owned()
    };
    let as_given: Vec<String> = pattern.split("::").map(last_part).collect();
    let expanded = as_given.iter().map(|part| pattern::expand(part));
    match expanded.collect::<Result<Vec<_>, _>>() {
        Ok(expanded) if expanded.concat() == names => as_given.join("::"),
        _ => {
            let escaped = names.iter().map(|name| pattern::escape(name));
            escaped.collect::<Vec<_>>().join("::")
        }
    }
}

/// The local paths that a list of patterns, joined by `::`, stands for.
fn expand(pattern: &str) -> Result<Vec<PathBuf>, ToolError> {
    let mut paths = Vec::new();
    for part in pattern.split("::") {
        let names = pattern::expand(part).map_err(|error| {
            ToolError::usage(
                format_args!("the pattern cannot be expanded: {error}"),
                format_args!("`{pattern}`"),
                "write it like 'train-{000000..000146}.tar'",
            )
        })?;
        for name in names {
            paths.push(local_path(&name)?);
        }
    }
    Ok(paths)
}

fn local_path(url: &str) -> Result<PathBuf, ToolError> {
    let path = match url.split_once(':') {
        Some(("file", path)) => path.strip_prefix("//localhost").unwrap_or(path),
        Some(("pipe", _)) => "",
        Some((_, path)) if path.starts_with("//") => "",
        _ => url,
    };
    if path.is_empty() {
        return Err(ToolError::usage(
            "only files of this machine can be indexed",
            format_args!("`{url}`"),
            "download the shards first, then give their path",
        ));
    }
    // `file:///a` has two slashes before the path.
    let path = match path.strip_prefix("//") {
        Some(absolute) if url.starts_with("file:") && absolute.starts_with('/') => absolute,
        _ => path,
    };
    Ok(PathBuf::from(path))
}

fn total_size(paths: &[(&str, PathBuf)]) -> Result<u64, ToolError> {
    let (mut num_bytes, mut missing) = (0, Vec::new());
    for (_, path) in paths {
        match fs::metadata(path) {
            Ok(metadata) => num_bytes += metadata.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => missing.push(path),
            Err(error) => return Err(ToolError::read(path)(error)),
        }
    }
    match missing.first() {
        None => Ok(num_bytes),
        Some(path) => Err(ToolError::data(
            format_args!("a shard is missing ({} of {})", missing.len(), paths.len()),
            path.display(),
            "download it, or correct the pattern",
        )),
    }
}

/// The folder of all tars.
fn common_folder(paths: &[(&str, PathBuf)]) -> Result<PathBuf, ToolError> {
    let first = folder_of(&paths[0].1);
    let resolved = |dir: &Path| fs::canonicalize(dir).map_err(ToolError::read(dir));
    let expected = resolved(first)?;
    let mut last = first;
    for (_, path) in paths {
        let other = folder_of(path);
        if other != last && resolved(other)? != expected {
            return Err(ToolError::usage(
                "the shards lie in two folders",
                format_args!("{} and {}", first.display(), other.display()),
                "move them into one folder, or index each by itself",
            ));
        }
        last = other;
    }
    Ok(first.to_owned())
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn plain_name(path: &Path) -> Result<String, ToolError> {
    let file = path.file_name().and_then(|file| file.to_str());
    let plain = file.filter(|file| name::is_plain_file(file));
    plain.map(str::to_owned).ok_or_else(|| {
        ToolError::usage(
            "a shard may not be called this",
            path.display(),
            "give a plain UTF-8 name that does not begin with a dot",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_file_urls_are_local_and_nothing_else_is() {
        for (url, expected) in [
            ("a/b.tar", "a/b.tar"),
            ("/a/b.tar", "/a/b.tar"),
            ("file:///a/b.tar", "/a/b.tar"),
            ("file://localhost/a/b.tar", "/a/b.tar"),
            ("file:a/b.tar", "a/b.tar"),
            ("12:30.tar", "12:30.tar"),
        ] {
            assert_eq!(
                local_path(url).expect("local"),
                Path::new(expected),
                "{url}"
            );
        }
        for url in [
            "https://a/b.tar",
            "s3://a/b.tar",
            "pipe:cat a.tar",
            "",
            "file:",
        ] {
            assert!(local_path(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_pattern_is_kept_as_given_without_its_folder_and_else_lists_the_names() {
        for (pattern, expected) in [
            ("a/b/in-{0..1}.tar", "in-{0..1}.tar"),
            ("in-{0..1}.tar", "in-{0..1}.tar"),
            ("file:in-{0..1}.tar", "in-{0..1}.tar"),
            ("file:///x/in-{0..1}.tar", "in-{0..1}.tar"),
            ("x/a.tar::x/{b,c}.tar", "a.tar::{b,c}.tar"),
            ("{x/a,x/b}.tar", "a.tar::b.tar"),
            ("x{/a,/b}-{0..1}.tar", "a-0.tar::a-1.tar::b-0.tar::b-1.tar"),
            (r"x\{1\}/a\{1,2\}.tar", r"a\{1,2\}.tar"),
            (r"{x/a\{\},x/b}.tar", r"a\{\}.tar::b.tar"),
        ] {
            let paths = expand(pattern).expect("expands");
            assert_eq!(relative_pattern(pattern, &paths), expected, "{pattern}");
        }
    }

    #[test]
    fn lists_are_joined_by_two_colons() {
        let paths = expand("a-{0..1}.tar::b.tar").expect("expands");
        assert_eq!(paths, ["a-0.tar", "a-1.tar", "b.tar"].map(PathBuf::from));
    }
}
