//! The manifest: what a packed set consists of. Read once, checked for contradictions, then trusted
//! for names and sizes; digests are for whoever wants to compare whole files.

mod absence;
mod contradictions;
mod in_place;
mod seal;

use std::collections::BTreeMap;
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
    /// [`FormatError::MissingFolder`], [`FormatError::NotAFolder`], [`FormatError::NotPacked`], [`FormatError::NotIndexed`] or
    /// [`FormatError::NoManifest`] if there is none; else what is wrong with it.
    pub fn load(dir: &Path) -> Result<Self, FormatError> {
        let path = dir.join(MANIFEST_FILE);
        Self::parse(&absence::text_of(dir)?, &path)
    }

    /// Reads the manifest of the set in `dir`, and tells whether its checksum is right, without asking whether it contradicts
    /// itself, for those who report [`Manifest::contradictions`]. File names in it are not to be trusted.
    ///
    /// # Errors
    /// As [`Manifest::load`], without [`FormatError::ManifestInvalid`] and [`FormatError::ManifestChecksum`].
    pub fn load_unchecked(dir: &Path) -> Result<(Self, bool), FormatError> {
        Self::parse_unchecked(&absence::text_of(dir)?, &dir.join(MANIFEST_FILE))
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
        xxh3_64(content.body().as_bytes())
    }

    /// What to do if a file of the set, which lies in `dir`, is not as it was.
    pub(crate) fn remedy(&self, dir: &Path) -> Remedy {
        let in_place = self.indexed_in_place.as_ref();
        in_place.map_or_else(Remedy::default, |in_place| in_place.remedy(dir))
    }

    /// The text of `manifest.json`: an object with this content, and behind it `checksum`, the XXH3-64 of the text without it.
    pub fn to_json(&self) -> String {
        seal::seal(&self.body())
    }

    fn body(&self) -> String {
        serde_json::to_string_pretty(self).expect("strings and numbers only")
    }

    /// Reads and checks the text of a manifest. `path` is what an error names.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &[u8], path: &Path) -> Result<Self, FormatError> {
        let (manifest, is_sealed) = Self::parse_unchecked(text, path)?;
        if !is_sealed {
            return Err(FormatError::ManifestChecksum {
                path: path.to_owned(),
                remedy: manifest.remedy(path.parent().unwrap_or(path)),
            });
        }
        match manifest.contradictions().into_iter().next() {
            Some(problem) => Err(FormatError::ManifestInvalid {
                path: path.to_owned(),
                problem,
                remedy: manifest.remedy(path.parent().unwrap_or(path)),
            }),
            None => Ok(manifest),
        }
    }

    fn parse_unchecked(text: &[u8], path: &Path) -> Result<(Self, bool), FormatError> {
        let (text, is_sealed) = seal::unseal(text);
        let syntax = |source| FormatError::ManifestSyntax {
            path: path.to_owned(),
            source,
        };
        let VersionOnly { version } = serde_json::from_slice(&text).map_err(syntax)?;
        if version != VERSION {
            let (path, expected) = (path.to_owned(), VERSION);
            return Err(FormatError::ManifestVersion {
                path,
                found: version,
                expected,
            });
        }
        let manifest = serde_json::from_slice(&text).map_err(syntax)?;
        Ok((manifest, is_sealed))
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

#[cfg(test)]
mod tests;
