//! The manifest: what a packed set consists of. Read once, checked for contradictions, then trusted
//! for names and sizes; digests are for whoever wants to compare whole files.

mod contradictions;
mod in_place;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::remedy::Remedy;
use crate::{FormatError, VERSION};
pub use in_place::{IndexedInPlace, modified_ns};

/// File name of the manifest in a packed set.
pub const MANIFEST_FILE: &str = "manifest.json";

/// The content of `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Format version of the set.
    pub version: u32,
    /// Class names, escaped as in keys; a label is a position in this list.
    pub classes: Vec<String>,
    /// The splits by name (`train`, `val`).
    pub splits: BTreeMap<String, SplitManifest>,
    /// The shards were there before and were only indexed, like this: nothing of ours may remove them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indexed_in_place: Option<IndexedInPlace>,
}

/// One split of a set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitManifest {
    /// Samples in all shards.
    pub num_samples: u64,
    /// Those among them without label.
    pub num_unlabelled: u64,
    /// Size of all shards, bytes.
    pub num_bytes: u64,
    /// Samples by image kind ([`crate::ImageKind::name`]).
    pub kinds: BTreeMap<String, u64>,
    /// Samples by colour model ([`crate::ColourModel::name`]).
    pub colours: BTreeMap<String, u64>,
    /// The shards, in the order in which samples are numbered.
    pub shards: Vec<ShardManifest>,
}

/// One shard and its index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardManifest {
    /// File name of the tar: a plain name, usually `<split>-<number>.tar`.
    pub file: String,
    /// Its samples.
    pub num_samples: u64,
    /// Its size, bytes; of the tar in it, if it is compressed.
    pub num_bytes: u64,
    /// Size of the file, bytes, if it is compressed with zstd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zstd_bytes: Option<u64>,
    /// XXH3-64 of the tar, 16 hexadecimal digits.
    pub xxh3: String,
    /// File name of the index: that of the tar with `.idx` in place of `.tar`.
    pub index_file: String,
    /// Size of the index, bytes.
    pub index_bytes: u64,
    /// XXH3-64 of the index, 16 hexadecimal digits.
    pub index_xxh3: String,
}

#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}

impl Manifest {
    /// Reads and checks the manifest of the set in `dir`.
    ///
    /// # Errors
    /// [`FormatError::MissingFolder`], [`FormatError::NotPacked`], [`FormatError::NotIndexed`] or
    /// [`FormatError::NoManifest`] if there is none; else what is wrong with it.
    pub fn load(dir: &Path) -> Result<Self, FormatError> {
        let path = dir.join(MANIFEST_FILE);
        Self::parse(&text_of(dir)?, &path)
    }

    /// Reads the manifest of the set in `dir` without asking whether it contradicts itself, for
    /// those who report [`Manifest::contradictions`]. File names in it are not to be trusted.
    ///
    /// # Errors
    /// As [`Manifest::load`], without [`FormatError::ManifestInvalid`].
    pub fn load_unchecked(dir: &Path) -> Result<Self, FormatError> {
        Self::parse_unchecked(&text_of(dir)?, &dir.join(MANIFEST_FILE))
    }

    /// The splits there are, in order of name.
    pub fn split_names(&self) -> Vec<String> {
        self.splits.keys().cloned().collect()
    }

    /// A stable number for the content of the set: classes, splits, and the digests of all files.
    /// Two folders with the same id hold the same samples in the same order, however they came to be.
    pub fn id(&self) -> u64 {
        let content = Self {
            indexed_in_place: None,
            ..self.clone()
        };
        xxh3_64(content.to_json().as_bytes())
    }

    /// What to do if a file of the set, which lies in `dir`, is not as it was.
    pub(crate) fn remedy(&self, dir: &Path) -> Remedy {
        let in_place = self.indexed_in_place.as_ref();
        in_place.map_or_else(Remedy::default, |in_place| in_place.remedy(dir))
    }

    /// The text of `manifest.json`.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("strings and numbers only");
        text.push('\n');
        text
    }

    /// Reads and checks the text of a manifest. `path` is what an error names.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &[u8], path: &Path) -> Result<Self, FormatError> {
        let manifest = Self::parse_unchecked(text, path)?;
        match manifest.contradictions().into_iter().next() {
            Some(problem) => Err(FormatError::ManifestInvalid {
                path: path.to_owned(),
                problem,
                remedy: manifest.remedy(path.parent().unwrap_or(path)),
            }),
            None => Ok(manifest),
        }
    }

    fn parse_unchecked(text: &[u8], path: &Path) -> Result<Self, FormatError> {
        let syntax = |source| FormatError::ManifestSyntax {
            path: path.to_owned(),
            source,
        };
        let VersionOnly { version } = serde_json::from_slice(text).map_err(syntax)?;
        if version != VERSION {
            let (path, expected) = (path.to_owned(), VERSION);
            return Err(FormatError::ManifestVersion {
                path,
                found: version,
                expected,
            });
        }
        serde_json::from_slice(text).map_err(syntax)
    }
}

/// Adds to one of the counts by name.
pub(crate) fn count(counts: &mut BTreeMap<String, u64>, name: &str, more: u64) {
    match counts.get_mut(name) {
        Some(count) => *count += more,
        None => drop(counts.insert(name.to_owned(), more)),
    }
}

impl SplitManifest {
    /// Adds a shard, with the counts of its samples.
    pub(crate) fn add(
        &mut self,
        shard: &ShardManifest,
        num_unlabelled: u64,
        kinds: &BTreeMap<String, u64>,
        colours: &BTreeMap<String, u64>,
    ) {
        self.num_samples += shard.num_samples;
        self.num_bytes += shard.num_bytes;
        self.num_unlabelled += num_unlabelled;
        kinds
            .iter()
            .for_each(|(name, more)| count(&mut self.kinds, name, *more));
        colours
            .iter()
            .for_each(|(name, more)| count(&mut self.colours, name, *more));
        self.shards.push(shard.clone());
    }
}

/// What is in the manifest of the set in `dir`, or why there is none.
fn text_of(dir: &Path) -> Result<Vec<u8>, FormatError> {
    let path = dir.join(MANIFEST_FILE);
    match fs::read(&path) {
        Ok(text) => Ok(text),
        Err(source) if is_absent(&source) => Err(explain_absence(dir)),
        Err(source) => Err(FormatError::Read { path, source }),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Why there is no manifest in `dir`.
fn explain_absence(dir: &Path) -> FormatError {
    let dir = dir.to_owned();
    if !dir.exists() {
        return FormatError::MissingFolder { dir };
    }
    if !dir.is_dir() {
        return FormatError::NotAFolder { path: dir };
    }
    if holds_images(&dir, 3, &mut 5_000) {
        return FormatError::NotPacked { dir };
    }
    if holds_tars(&dir) {
        return FormatError::NotIndexed { dir };
    }
    FormatError::NoManifest { dir }
}

/// Looks for a file named like an image, at most `depth` folders down and `budget` names in all.
fn holds_images(dir: &Path, depth: u32, budget: &mut u32) -> bool {
    let Ok(entries) = fs::read_dir(dir) else {
        return false;
    };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if *budget == 0 {
            return false;
        }
        *budget -= 1;
        if is_named_like_an_image(&path) {
            return true;
        }
        if depth > 0 && path.is_dir() && holds_images(&path, depth - 1, budget) {
            return true;
        }
    }
    false
}

fn holds_tars(dir: &Path) -> bool {
    let Ok(mut entries) = fs::read_dir(dir) else {
        return false;
    };
    let is_tar = |path: &Path| path.extension().is_some_and(|extension| extension == "tar");
    entries.any(|entry| entry.is_ok_and(|entry| is_tar(&entry.path())))
}

fn is_named_like_an_image(path: &Path) -> bool {
    let extension = path
        .extension()
        .map(|extension| extension.to_ascii_lowercase());
    extension.is_some_and(|extension| {
        ["jpg", "jpeg", "png"]
            .iter()
            .any(|known| extension == *known)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn manifest() -> Manifest {
        let shard = ShardManifest {
            file: "train-000000.tar".into(),
            num_samples: 3,
            num_bytes: 10_240,
            zstd_bytes: None,
            xxh3: "00000000000000aa".into(),
            index_file: "train-000000.idx".into(),
            index_bytes: 200,
            index_xxh3: "00000000000000bb".into(),
        };
        let split = SplitManifest {
            num_samples: 3,
            num_bytes: 10_240,
            shards: vec![shard],
            ..Default::default()
        };
        let classes = vec!["cat".into(), "dog".into()];
        Manifest {
            version: VERSION,
            classes,
            splits: [("train".into(), split)].into(),
            indexed_in_place: None,
        }
    }

    pub(super) fn parse(manifest: &Manifest) -> Result<Manifest, FormatError> {
        Manifest::parse(manifest.to_json().as_bytes(), Path::new("manifest.json"))
    }

    #[test]
    fn a_manifest_survives_being_written_and_read() {
        assert_eq!(parse(&manifest()).expect("parses"), manifest());
    }

    #[test]
    fn the_id_depends_on_every_digest() {
        let mut other = manifest();
        other.splits.get_mut("train").expect("train").shards[0]
            .index_xxh3
            .replace_range(0..1, "1");
        assert_ne!(manifest().id(), other.id());
        assert_eq!(manifest().id(), manifest().id());
    }

    #[test]
    fn the_id_does_not_depend_on_how_the_set_was_made() {
        let mut indexed = manifest();
        indexed.indexed_in_place = Some(IndexedInPlace::default());
        assert_eq!(manifest().id(), indexed.id());
    }

    #[test]
    fn the_advice_fits_the_sort_of_the_set() {
        let mut lying = manifest();
        lying.classes.push("cat".into());
        let advice = |manifest: &Manifest| parse(manifest).unwrap_err().to_string();
        assert!(advice(&lying).ends_with("copy it again or pack the set again"));
        lying.indexed_in_place = Some(IndexedInPlace::default());
        assert!(advice(&lying).ends_with("index the set again: shard-tool index --overwrite"));
    }

    #[test]
    fn a_future_version_is_named_before_anything_else_is_looked_at() {
        let error = Manifest::parse(br#"{"version": 7, "new": 1}"#, Path::new("m")).unwrap_err();
        assert!(matches!(
            error,
            FormatError::ManifestVersion {
                found: 7,
                expected: VERSION,
                ..
            }
        ));
    }

    #[test]
    fn a_folder_of_images_gets_the_line_that_packs_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let dir = folder.path().join("photos");
        fs::create_dir_all(dir.join("train/cat")).expect("made");
        fs::write(dir.join("train/cat/a.JPEG"), b"").expect("written");
        let message = Manifest::load(&dir).unwrap_err().to_string();
        assert!(
            message.ends_with(&format!("shard-tool pack {}", dir.display())),
            "{message}"
        );
    }

    #[test]
    fn a_folder_of_tars_gets_the_line_that_indexes_them() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("a-0.tar"), b"").expect("written");
        let error = Manifest::load(folder.path()).unwrap_err();
        assert!(matches!(error, FormatError::NotIndexed { .. }), "{error}");
    }

    #[test]
    fn missing_folder_file_and_empty_folder_are_told_apart() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let missing = folder.path().join("missing");
        assert!(matches!(
            Manifest::load(&missing),
            Err(FormatError::MissingFolder { .. })
        ));
        assert!(matches!(
            Manifest::load(folder.path()),
            Err(FormatError::NoManifest { .. })
        ));
        fs::write(&missing, b"").expect("written");
        assert!(matches!(
            Manifest::load(&missing),
            Err(FormatError::NotAFolder { .. })
        ));
    }
}
