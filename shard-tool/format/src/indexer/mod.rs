//! Writes index and manifest for tars that are there already, and leaves the tars alone.
//!
//! It runs on the caller's thread and holds the entries of one shard in memory. It does not look
//! into the tars: whoever walks through them says where the images are.
//!
//! Nothing bears its final name before [`SetIndexer::finish`]; dropping the indexer removes what it
//! made. Since readers map the tars, their owner must replace them by renaming, never write into
//! them; a changed size or time of modification is noticed when the set is opened.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Fault, FormatError};
use crate::folder;
use crate::index::{Entry, IndexBuilder, MAGIC, UNLABELLED, VERSION};
use crate::manifest::{IndexedInPlace, Manifest, ShardManifest, SplitManifest};
use crate::name::{self, MANIFEST_FILE};
use crate::sample::ImageHeader;

/// An image found in a tar.
#[derive(Debug, Clone, Copy)]
pub struct FoundSample<'a> {
    /// Its key, whole.
    pub key: &'a str,
    /// Offset of the image in the tar, bytes.
    pub offset: u64,
    /// Size of the image, bytes.
    pub length: u32,
    /// CRC-32 of the image.
    pub crc: u32,
    /// What [`crate::image_header::identify`] says of the image.
    pub header: ImageHeader,
    /// Its label; `None` leaves it unlabelled.
    pub label: Option<u32>,
}

/// A tar that was walked through.
#[derive(Debug, Clone, Copy)]
pub struct WalkedTar<'a> {
    /// Its name in the folder.
    pub file: &'a str,
    /// Its size, bytes.
    pub num_bytes: u64,
    /// Its XXH3-64.
    pub digest: u64,
    /// Its [`modified_ns`](crate::modified_ns) before it was read.
    pub modified_ns: i64,
}

/// Collects the samples of one tar.
#[derive(Debug, Default)]
pub struct ShardIndexer {
    index: IndexBuilder,
    counts: SplitManifest,
}

impl ShardIndexer {
    /// Adds a sample, in the order of the tar.
    ///
    /// # Errors
    /// [`Fault::Unstorable`] if the key, or all keys together, are too long for an index.
    pub fn append(&mut self, sample: &FoundSample<'_>) -> Result<(), FormatError> {
        if sample.key.len() > name::MAX_KEY_BYTES || !self.index.has_room_for(sample.key) {
            let problem = "the key is longer than 65,535 bytes, or all keys than 4 GiB";
            return Err(FormatError::new(
                Fault::Unstorable,
                format_args!("the sample cannot be stored: {problem}"),
                format_args!("key {}", sample.key),
                "leave it out",
            ));
        }
        let entry = Entry {
            offset: sample.offset,
            length: sample.length,
            crc: sample.crc,
            label: sample.label.unwrap_or(UNLABELLED),
            header: sample.header,
        };
        self.index.push(&entry, sample.key);
        self.counts.count(&sample.header, sample.label.is_some());
        Ok(())
    }
}

/// Makes the tars of one folder a set.
#[derive(Debug)]
pub struct SetIndexer {
    dir: PathBuf,
    overwrite: bool,
    manifest: Manifest,
    /// Indexes made so far, by final name; on disk they still have their partial names.
    made: Vec<String>,
    /// Holds the lock on the folder.
    _lock: File,
}

impl SetIndexer {
    /// Starts a set in `dir`, where the tars are; removes what an indexer that was killed left there. `how` tells how they are indexed; the times in it are noted as the tars
    /// come.
    ///
    /// # Errors
    /// [`Fault::Indexed`] if there is a manifest that is not to be overwritten,
    /// [`Fault::Locked`] if another process writes there, or the system's refusal.
    pub fn create(dir: &Path, how: IndexedInPlace, overwrite: bool) -> Result<Self, FormatError> {
        let lock = folder::lock_folder(dir)?;
        if !overwrite && dir.join(MANIFEST_FILE).exists() {
            return Err(FormatError::new(
                Fault::Indexed,
                "the folder has a manifest.json already",
                dir.display(),
                "let it be replaced",
            ));
        }
        remove_what_was_left(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
            overwrite,
            manifest: Manifest {
                version: VERSION,
                classes: Vec::new(),
                splits: Default::default(),
                indexed_in_place: Some(how),
            },
            made: Vec::new(),
            _lock: lock,
        })
    }

    /// Adds a shard to a split, after those that were added before.
    ///
    /// # Errors
    /// [`Fault::NotOurIndex`] if a file of the name of the index is there that is none and is
    /// not to be overwritten, or the system's refusal.
    pub fn add_shard(
        &mut self,
        split: &str,
        tar: &WalkedTar<'_>,
        found: ShardIndexer,
    ) -> Result<(), FormatError> {
        let (num_bytes, digest) = (tar.num_bytes, tar.digest);
        let index_file = name::index_file(tar.file);
        self.check_may_replace(&index_file)?;
        let index = found.index.to_bytes(num_bytes, digest);
        self.write_partial(&index_file, &index)?;
        let shard = ShardManifest {
            file: tar.file.to_owned(),
            num_samples: found.index.num_entries(),
            num_bytes,
            zstd_bytes: None,
            xxh3: format!("{digest:016x}"),
            index_bytes: index.len() as u64,
            index_xxh3: format!("{:016x}", xxh3_64(&index)),
            index_file,
        };
        let in_place = self.manifest.indexed_in_place.as_mut();
        let times = &mut in_place.expect("was given").modified_ns;
        times.insert(tar.file.to_owned(), tar.modified_ns);
        let mut part = found.counts;
        part.push(shard);
        let splits = &mut self.manifest.splits;
        splits.entry(split.to_owned()).or_default().append(part);
        Ok(())
    }

    /// Gives all indexes their names and writes the manifest last.
    ///
    /// # Errors
    /// [`Fault::Manifest`] if a name of a class, shard or split cannot be, or is there
    /// twice, or the system's refusal. Then no manifest is in the folder, or still the old one.
    pub fn finish(mut self, classes: Vec<String>) -> Result<Manifest, FormatError> {
        self.manifest.classes = classes;
        let path = self.dir.join(MANIFEST_FILE);
        let json = self.manifest.to_json();
        Manifest::parse(json.as_bytes(), &path)?;
        self.write_partial(MANIFEST_FILE, json.as_bytes())?;
        if path.exists() {
            fs::remove_file(&path).map_err(FormatError::write(&path))?;
            folder::sync(&self.dir)?;
        }
        let (manifest, indexes) = self.made.split_last().expect("the manifest was made");
        indexes
            .iter()
            .try_for_each(|file| folder::publish(&self.dir, file))?;
        folder::sync(&self.dir)?;
        folder::publish(&self.dir, manifest)?;
        folder::sync(&self.dir)?;
        self.made.clear();
        Ok(self.manifest.clone())
    }

    /// An index of ours that has no manifest was left by an indexer that was killed.
    fn check_may_replace(&self, index_file: &str) -> Result<(), FormatError> {
        let path = self.dir.join(index_file);
        if self.overwrite || is_absent_or_index(&path).map_err(FormatError::read(&path))? {
            return Ok(());
        }
        Err(FormatError::new(
            Fault::NotOurIndex,
            "there is another file where the index goes",
            path.display(),
            "move it away, or let it be replaced",
        ))
    }

    fn write_partial(&mut self, file: &str, bytes: &[u8]) -> Result<(), FormatError> {
        self.made.push(file.to_owned());
        folder::write_partial(&self.dir, file, bytes)
    }
}

impl Drop for SetIndexer {
    /// Removes what was not finished.
    fn drop(&mut self) {
        for file in &self.made {
            drop(fs::remove_file(self.dir.join(name::partial_file(file))));
        }
    }
}

/// An index beside a partial shard belongs to a packing, which goes on with it.
fn remove_what_was_left(dir: &Path) -> Result<(), FormatError> {
    let partial = folder::files_where(dir, name::is_partial_of_indexing)?;
    let is_of_a_shard = |file: &&String| {
        let stem = name::whole_file(file).and_then(|index| index.strip_suffix(".idx"));
        let shards = stem.map(|stem| [format!("{stem}.tar"), format!("{stem}.tar.zst")]);
        let mut shards = shards.into_iter().flatten();
        shards.any(|shard| dir.join(name::partial_file(&shard)).exists())
    };
    let left = partial.iter().filter(|file| !is_of_a_shard(file));
    left.map(|file| dir.join(file))
        .try_for_each(|path| folder::remove(&path))
}

fn is_absent_or_index(path: &Path) -> std::io::Result<bool> {
    let mut magic = [0; MAGIC.len()];
    match File::open(path).and_then(|mut file| file.read_exact(&mut magic)) {
        Ok(()) => Ok(&magic == MAGIC),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
