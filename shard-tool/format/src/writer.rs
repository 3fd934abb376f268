//! Writes a packed set: samples go in one after another, whole shards come out.
//!
//! It runs on the caller's thread and holds one shard's index in memory, never the samples.
//! It does not read images from disk, shuffle, or decide what is a class.
//!
//! Nothing bears its final name before [`SetWriter::finish`]: until then the files are called
//! `.train-000000.tar.partial`, and dropping the writer removes them. What a killed
//! process left behind is removed by the next writer in the same folder.

mod shard;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::index::UNLABELLED;
use crate::manifest::{MANIFEST_FILE, Manifest, ShardManifest, SplitManifest};
use crate::{FormatError, ImageHeader, VERSION, name};
use shard::ShardWriter;

/// How to write a set.
#[derive(Debug, Clone, Copy)]
pub struct WriterOptions {
    /// A shard is closed before it would grow beyond this many bytes; a single larger sample gets a
    /// shard of its own.
    pub shard_bytes: u64,
    /// Replace a complete set. Otherwise it is refused.
    pub overwrite: bool,
}

/// A sample to be written.
#[derive(Debug, Clone, Copy)]
pub struct NewSample<'a> {
    /// `<class>/<stem>`, unique in its split; [`name`] makes such keys.
    pub key: &'a str,
    /// The image file.
    pub image: &'a [u8],
    /// CRC-32 of `image`, taken by whoever read it.
    pub crc: u32,
    /// What [`crate::image_header::identify`] says of `image`.
    pub header: ImageHeader,
    /// Position in the list of classes; `None` leaves the sample unlabelled.
    pub label: Option<u32>,
}

/// Writes one set into one folder.
#[derive(Debug)]
pub struct SetWriter {
    dir: PathBuf,
    options: WriterOptions,
    manifest: Manifest,
    open: Option<OpenSplit>,
    /// Every file made so far, by final name; on disk it still has its partial name.
    made: Vec<String>,
    /// Files of the set that is replaced.
    replaced: Vec<String>,
    /// Whether the folder was made for this set.
    made_dir: bool,
    /// Holds the lock on the folder.
    _lock: File,
}

#[derive(Debug)]
struct OpenSplit {
    name: String,
    manifest: SplitManifest,
    shard: Option<ShardWriter>,
}

impl SetWriter {
    /// Starts a set in `dir`, which is made if it is not there.
    ///
    /// # Errors
    /// [`FormatError::Exists`] if a complete set is there and is not to be overwritten,
    /// [`FormatError::Locked`] if another process writes there, or the system's refusal.
    pub fn create(
        dir: &Path,
        classes: Vec<String>,
        options: WriterOptions,
    ) -> Result<Self, FormatError> {
        let made_dir = !dir.exists();
        fs::create_dir_all(dir).map_err(FormatError::write(dir))?;
        let lock = lock_folder(dir)?;
        if !options.overwrite {
            check_holds_no_set(dir)?;
        }
        let replaced = files_of_old_set(dir);
        for file in files_where(dir, name::is_partial)? {
            remove(&dir.join(file))?;
        }
        let manifest = Manifest {
            version: VERSION,
            classes,
            splits: Default::default(),
        };
        let dir = dir.to_owned();
        Ok(Self {
            dir,
            options,
            manifest,
            open: None,
            made: Vec::new(),
            replaced,
            made_dir,
            _lock: lock,
        })
    }

    /// Ends the current split, if any, and starts this one. Samples are numbered in the order of
    /// [`SetWriter::append`].
    ///
    /// # Errors
    /// If the last shard cannot be closed.
    ///
    /// # Panics
    /// If `split` is not a split name ([`name::is_split_name`]) or was begun before.
    pub fn begin_split(&mut self, split: &str) -> Result<(), FormatError> {
        assert!(
            name::is_split_name(split),
            "`{split}` is not a name for a split"
        );
        self.end_split()?;
        assert!(
            !self.manifest.splits.contains_key(split),
            "split `{split}` was begun before"
        );
        let manifest = SplitManifest::default();
        self.open = Some(OpenSplit {
            name: split.to_owned(),
            manifest,
            shard: None,
        });
        Ok(())
    }

    /// Adds a sample to the current split.
    ///
    /// # Errors
    /// [`FormatError::Unstorable`] for what the format cannot hold (nothing is written then), or the
    /// system's refusal to write.
    ///
    /// # Panics
    /// If no split was begun.
    pub fn append(&mut self, sample: &NewSample<'_>) -> Result<(), FormatError> {
        self.check_storable(sample)?;
        self.make_room_for(sample)?;
        let split = self.open.as_mut().expect("a split was begun");
        let shard = match &mut split.shard {
            Some(shard) => shard,
            empty => {
                let file = name::shard_file(&split.name, split.manifest.shards.len());
                self.made.push(file.clone());
                empty.insert(ShardWriter::create(&self.dir, file)?)
            }
        };
        shard.append(sample)?;
        split.manifest.count(sample);
        Ok(())
    }

    /// Bytes of shards written so far, over all splits.
    pub fn num_bytes(&self) -> u64 {
        let ended: u64 = self
            .manifest
            .splits
            .values()
            .map(|split| split.num_bytes)
            .sum();
        let open = self.open.as_ref().map_or(0, |split| {
            split.manifest.num_bytes + split.shard.as_ref().map_or(0, ShardWriter::num_bytes)
        });
        ended + open
    }

    /// Ends the last split, gives all files their names, and writes the manifest last.
    /// A set that was there before is replaced; readers that have it mapped keep it.
    ///
    /// # Errors
    /// The system's refusal. Then no manifest is in the folder, or still the old one.
    pub fn finish(mut self) -> Result<Manifest, FormatError> {
        self.end_split()?;
        let old_manifest = self.dir.join(MANIFEST_FILE);
        if old_manifest.exists() {
            remove(&old_manifest)?;
            self.sync_folder()?;
        }
        for file in &self.made {
            self.publish(file)?;
        }
        self.sync_folder()?;
        let json = self.manifest.to_json();
        write_partial(&self.dir, MANIFEST_FILE, json.as_bytes())?;
        self.publish(MANIFEST_FILE)?;
        self.sync_folder()?;
        self.remove_files_of_the_old_set()?;
        self.made.clear();
        self.made_dir = false;
        Ok(self.manifest.clone())
    }

    fn check_storable(&self, sample: &NewSample<'_>) -> Result<(), FormatError> {
        let key_fault = key_fault(sample.key);
        let unknown_label = sample
            .label
            .is_some_and(|label| label as usize >= self.manifest.classes.len());
        let problem = match key_fault {
            Some(fault) => fault.to_owned(),
            None if u32::try_from(sample.image.len()).is_err() => "larger than 4 GiB".to_owned(),
            None if unknown_label => format!("label {:?} has no class", sample.label),
            None => return Ok(()),
        };
        Err(FormatError::Unstorable {
            key: sample.key.to_owned(),
            problem,
        })
    }

    fn make_room_for(&mut self, sample: &NewSample<'_>) -> Result<(), FormatError> {
        let split = self.open.as_mut().expect("a split was begun");
        let full = |shard: &ShardWriter| {
            shard.num_bytes_with(sample) > self.options.shard_bytes
                || !shard.has_room_for(sample.key)
        };
        if split.shard.as_ref().is_some_and(full) {
            self.end_shard()
        } else {
            Ok(())
        }
    }

    fn end_shard(&mut self) -> Result<(), FormatError> {
        let split = self.open.as_mut().expect("a split was begun");
        let Some(shard) = split.shard.take() else {
            return Ok(());
        };
        let finished = shard.finish()?;
        let index_file = name::index_file(&finished.file);
        write_partial(&self.dir, &index_file, &finished.index)?;
        self.made.push(index_file.clone());
        split.manifest.num_bytes += finished.num_bytes;
        split.manifest.shards.push(ShardManifest {
            file: finished.file,
            num_samples: finished.num_samples,
            num_bytes: finished.num_bytes,
            xxh3: format!("{:016x}", finished.digest),
            index_file,
            index_bytes: finished.index.len() as u64,
            index_xxh3: format!("{:016x}", xxhash_rust::xxh3::xxh3_64(&finished.index)),
        });
        Ok(())
    }

    fn end_split(&mut self) -> Result<(), FormatError> {
        if self.open.is_some() {
            self.end_shard()?;
        }
        if let Some(split) = self.open.take() {
            self.manifest.splits.insert(split.name, split.manifest);
        }
        Ok(())
    }

    fn publish(&self, file: &str) -> Result<(), FormatError> {
        let path = self.dir.join(file);
        fs::rename(self.dir.join(name::partial_file(file)), &path).map_err(FormatError::write(path))
    }

    fn sync_folder(&self) -> Result<(), FormatError> {
        File::open(&self.dir)
            .and_then(|dir| dir.sync_all())
            .map_err(FormatError::write(&self.dir))
    }

    fn remove_files_of_the_old_set(&self) -> Result<(), FormatError> {
        let is_left = |file: &&String| !self.made.contains(file) && self.dir.join(file).exists();
        self.replaced
            .iter()
            .filter(is_left)
            .try_for_each(|file| remove(&self.dir.join(file)))
    }
}

impl Drop for SetWriter {
    /// Removes what was not finished. What cannot be removed now is removed by the next writer.
    fn drop(&mut self) {
        let unfinished = self.made.iter().map(String::as_str).chain([MANIFEST_FILE]);
        for file in unfinished {
            drop(fs::remove_file(self.dir.join(name::partial_file(file))));
        }
        if self.made_dir {
            // Stays if it is not empty.
            drop(fs::remove_dir(&self.dir));
        }
    }
}

impl SplitManifest {
    fn count(&mut self, sample: &NewSample<'_>) {
        self.num_samples += 1;
        self.num_unlabelled += u64::from(sample.label.is_none());
        count_one(&mut self.kinds, sample.header.kind.name());
        count_one(&mut self.colours, sample.header.colour.name());
    }
}

fn count_one(counts: &mut std::collections::BTreeMap<String, u64>, name: &str) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => drop(counts.insert(name.to_owned(), 1)),
    }
}

/// What a reader would trip over in a key.
fn key_fault(key: &str) -> Option<&'static str> {
    let Some((class, stem)) = key.rsplit_once('/') else {
        return Some("the key is not of the form <class>/<stem>");
    };
    let odd_part = |part: &str| matches!(part, "" | "." | "..");
    if class.split('/').any(odd_part) || odd_part(stem) {
        return Some("a part of the key is empty or made of dots");
    }
    if stem.contains('.') {
        return Some("the last part of the key has a dot");
    }
    if key.len() > name::MAX_KEY_BYTES {
        return Some("the key is longer than 65,535 bytes");
    }
    key.contains('\0').then_some("the key has a zero byte")
}

/// Shards without a manifest may be someone else's; they are not overwritten unasked.
fn check_holds_no_set(dir: &Path) -> Result<(), FormatError> {
    let is_of_a_set = |file: &str| file == MANIFEST_FILE || name::is_set_file(file);
    if files_where(dir, is_of_a_set)?.is_empty() {
        return Ok(());
    }
    Err(FormatError::Exists {
        dir: dir.to_owned(),
    })
}

/// What the manifest in `dir` names; nothing if there is none that can be read.
fn files_of_old_set(dir: &Path) -> Vec<String> {
    let Ok(manifest) = Manifest::load(dir) else {
        return Vec::new();
    };
    let shards = manifest.splits.into_values().flat_map(|split| split.shards);
    shards
        .flat_map(|shard| [shard.file, shard.index_file])
        .collect()
}

fn lock_folder(dir: &Path) -> Result<File, FormatError> {
    let folder = File::open(dir).map_err(FormatError::read(dir))?;
    match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(folder),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(FormatError::Locked {
            dir: dir.to_owned(),
        }),
        Err(errno) => Err(FormatError::Write {
            path: dir.to_owned(),
            source: errno.into(),
        }),
    }
}

fn files_where(dir: &Path, wanted: fn(&str) -> bool) -> Result<Vec<String>, FormatError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(FormatError::read(dir))? {
        let entry = entry.map_err(FormatError::read(dir))?;
        files.extend(
            entry
                .file_name()
                .into_string()
                .ok()
                .filter(|file| wanted(file)),
        );
    }
    Ok(files)
}

fn remove(path: &Path) -> Result<(), FormatError> {
    fs::remove_file(path).map_err(FormatError::write(path))
}

/// Writes and syncs a file under its partial name. A failure removes it again.
fn write_partial(dir: &Path, file: &str, bytes: &[u8]) -> Result<(), FormatError> {
    let path = dir.join(name::partial_file(file));
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|source| {
        drop(fs::remove_file(&path));
        FormatError::Write { path, source }
    })
}
