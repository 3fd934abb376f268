//! Reads and writes manifests, and checks them.

use std::path::Path;

use serde::Deserialize;
use xxhash_rust::xxh3::xxh3_64;

use super::schema::Manifest;
use super::{absence, seal};
use crate::error::{Fault, FormatError, Remedy};
use crate::index::VERSION;
use crate::name::MANIFEST_FILE;

#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}

impl Manifest {
    /// Reads and checks the manifest of the set in `dir`.
    ///
    /// # Errors
    /// [`Fault::NoSet`], [`Fault::NotPacked`] or [`Fault::NotIndexed`] if there is none; else what is wrong with it.
    pub fn load(dir: &Path) -> Result<Self, FormatError> {
        let path = dir.join(MANIFEST_FILE);
        Self::parse(&absence::text_of(dir)?, &path)
    }

    /// Reads the manifest of the set in `dir`, and tells whether its checksum is right, without asking whether it contradicts
    /// itself, for those who report [`Manifest::contradictions`]. File names in it are not to be trusted.
    ///
    /// # Errors
    /// As [`Manifest::load`], but for these two.
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
        in_place.map_or(Remedy::CopyOrPack, |_| Remedy::Reindex(dir.to_owned()))
    }

    fn refused(&self, what: &str, path: &Path) -> FormatError {
        let remedy = self.remedy(path.parent().unwrap_or(path));
        FormatError::new(Fault::Manifest, what, path.display(), remedy)
    }

    /// The text of `manifest.json`: an object with this content, and after it `checksum`, the XXH3-64 of the text without it.
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
            let what = "the manifest is damaged, or was changed by hand (checksum differs)";
            return Err(manifest.refused(what, path));
        }
        match manifest.contradictions().into_iter().next() {
            Some(problem) => {
                let what = format!("the manifest contradicts itself: {problem}");
                Err(manifest.refused(&what, path))
            }
            None => Ok(manifest),
        }
    }

    fn parse_unchecked(text: &[u8], path: &Path) -> Result<(Self, bool), FormatError> {
        let (text, is_sealed) = seal::unseal(text);
        let syntax = |error| {
            let what = format!("the manifest cannot be read: {error}");
            let remedy = "copy it again, or pack or index the set again";
            FormatError::new(Fault::Manifest, what, path.display(), remedy)
        };
        let VersionOnly { version } = serde_json::from_slice(&text).map_err(syntax)?;
        if version != VERSION {
            return Err(FormatError::new(
                Fault::Manifest,
                format_args!(
                    "the set has format version {version}, this program reads version {VERSION}"
                ),
                path.display(),
                "pack or index the set again with this version, or use the program that wrote it",
            ));
        }
        let manifest = serde_json::from_slice(&text).map_err(syntax)?;
        Ok((manifest, is_sealed))
    }
}
