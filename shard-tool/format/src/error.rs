//! Everything that can be wrong with a packed set, one variant per way a file can lie.
//! Each message says what, where, and what to do.

use std::io;
use std::path::PathBuf;

use crate::reader::CutShard;
use crate::remedy::Remedy;

/// Why a packed set could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The folder is not there.
    #[error("the folder does not exist; {}; check the path", dir.display())]
    MissingFolder {
        /// The folder asked for.
        dir: PathBuf,
    },
    /// The path is a file, or something else that is not a folder.
    #[error("this is not a folder; {}; give the folder that holds manifest.json", path.display())]
    NotAFolder {
        /// The path asked for.
        path: PathBuf,
    },
    /// The folder holds images but no manifest.
    #[error(
        "the folder holds images that are not packed; {dir}; pack it: shard-tool pack {dir}",
        dir = dir.display()
    )]
    NotPacked {
        /// The folder asked for.
        dir: PathBuf,
    },
    /// The folder holds tars but no manifest.
    #[error(
        "the folder holds tars without a manifest.json; {dir}; \
         index them, with the range of their numbers: shard-tool index '{dir}/NAME-{{000000..000146}}.tar'",
        dir = dir.display()
    )]
    NotIndexed {
        /// The folder asked for.
        dir: PathBuf,
    },
    /// The folder holds neither a manifest nor images.
    #[error(
        "there is no manifest.json and no image; {}; \
         give a folder that `shard-tool pack` has written, or pack one: shard-tool pack SRC",
        dir.display()
    )]
    NoManifest {
        /// The folder asked for.
        dir: PathBuf,
    },
    /// The manifest is not the JSON that was expected.
    #[error("the manifest cannot be read: {source}; {}; copy it again, or pack or index the set again", path.display())]
    ManifestSyntax {
        /// The manifest.
        path: PathBuf,
        /// What the JSON parser met, with line and column.
        source: serde_json::Error,
    },
    /// The manifest is of another version.
    #[error(
        "the set has format version {found}, this program reads version {expected}; {}; \
         pack or index the set again with this version, or use the program that wrote it",
        path.display()
    )]
    ManifestVersion {
        /// The manifest.
        path: PathBuf,
        /// The version it states.
        found: u32,
        /// The version this crate reads.
        expected: u32,
    },
    /// The manifest is not as it was written.
    #[error("the manifest is damaged, or was changed by hand (checksum differs); {}; {remedy}", path.display())]
    ManifestChecksum {
        /// The manifest.
        path: PathBuf,
        /// What to do.
        remedy: Remedy,
    },
    /// The manifest contradicts itself.
    #[error("the manifest contradicts itself: {problem}; {}; {remedy}", path.display())]
    ManifestInvalid {
        /// The manifest.
        path: PathBuf,
        /// The contradiction.
        problem: String,
        /// What to do.
        remedy: Remedy,
    },
    /// The set has no split of that name.
    #[error("there is no split `{split}`; {}; it has: {}", dir.display(), available.join(", "))]
    UnknownSplit {
        /// The packed set.
        dir: PathBuf,
        /// The split asked for.
        split: String,
        /// The splits there are.
        available: Vec<String>,
    },
    /// A file named by the manifest is not there.
    #[error("a file of the set is missing; {}; {remedy}", path.display())]
    MissingFile {
        /// The missing file.
        path: PathBuf,
        /// What to do.
        remedy: Remedy,
    },
    /// A file is shorter or longer than the manifest says: cut short, or changed since.
    #[error("the file was cut short or changed: it has {found} bytes, the manifest says {expected}; {}; {remedy}", path.display())]
    SizeDiffers {
        /// The file.
        path: PathBuf,
        /// Size in the manifest, bytes.
        expected: u64,
        /// Size on disk, bytes.
        found: u64,
        /// What to do.
        remedy: Remedy,
    },
    /// A shard is shorter than it was; some of its samples may be there.
    #[error("the shard was cut short or changed: {cut}; {}; to do without the rest: loader serve --allow-damaged; else {remedy}", path.display())]
    ShardCut {
        /// The shard.
        path: PathBuf,
        /// What is left of it.
        cut: Box<CutShard>,
        /// What to do.
        remedy: Remedy,
    },
    /// A shard was written to after it had been indexed, and has its size still.
    #[error(
        "the shard was changed since it was indexed: modified at {}, then at {} (seconds since 1970); {}; \
         if it is only a copy, give it its old time (cp -p); else {remedy}",
        seconds(*found_ns), seconds(*expected_ns), path.display()
    )]
    TimeDiffers {
        /// The shard.
        path: PathBuf,
        /// Time of modification when it was indexed, ns since 1970.
        expected_ns: i64,
        /// Time of modification now, ns since 1970.
        found_ns: i64,
        /// What to do.
        remedy: Remedy,
    },
    /// The file does not start with the magic bytes of an index.
    #[error("this is not a shard index; {}; {remedy}", path.display())]
    IndexMagic {
        /// The index.
        path: PathBuf,
        /// What to do.
        remedy: Remedy,
    },
    /// The index is of another version.
    #[error("the index has version {found}, not {expected}; {}; {remedy}", path.display())]
    IndexVersion {
        /// The index.
        path: PathBuf,
        /// The version it states.
        found: u32,
        /// The version this crate reads.
        expected: u32,
        /// What to do.
        remedy: Remedy,
    },
    /// The checksum over the index header or body does not hold.
    #[error("the {part} of the index is damaged (checksum differs); {}; {remedy}", path.display())]
    IndexChecksum {
        /// The index.
        path: PathBuf,
        /// `header` or `body`.
        part: &'static str,
        /// What to do.
        remedy: Remedy,
    },
    /// The index contradicts itself, the manifest, or the shard.
    #[error("the index is inconsistent: {problem}; {}; {remedy}", path.display())]
    IndexInvalid {
        /// The index.
        path: PathBuf,
        /// The contradiction.
        problem: String,
        /// What to do.
        remedy: Remedy,
    },
    /// An entry points outside of its shard.
    #[error(
        "the image lies outside of its shard; {} at offset {offset}, {length} bytes of {shard_bytes}; {remedy}",
        path.display()
    )]
    OutOfShard {
        /// The shard.
        path: PathBuf,
        /// Offset of the image, bytes.
        offset: u64,
        /// Length of the image, bytes.
        length: u64,
        /// Size of the shard, bytes.
        shard_bytes: u64,
        /// What to do.
        remedy: Remedy,
    },
    /// The bytes of an image are not those that were packed.
    #[error(
        "the image bytes are damaged (checksum differs); {shard} key {key} at offset {offset}; \
         copy the shard again, or pack or index the set again"
    )]
    ImageChecksum {
        /// File name of the shard.
        shard: String,
        /// Key of the sample.
        key: String,
        /// Offset of the image in the shard, bytes.
        offset: u64,
    },
    /// A compressed shard does not hold what it should.
    #[error("the compressed shard is damaged: {problem}; {}; copy it again or pack the set again", path.display())]
    Compressed {
        /// The shard.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Compressed shards cannot be unpacked, usually for lack of room.
    #[error(
        "cannot unpack compressed shards: {problem}; {}: {needed_bytes} bytes needed, {free_bytes} free; free some, \
         or let TMPDIR name another folder",
        dir.display()
    )]
    CannotUnpack {
        /// The folder for temporary files.
        dir: PathBuf,
        /// What hinders.
        problem: String,
        /// Size of the tars to be unpacked, bytes.
        needed_bytes: u64,
        /// Free space, bytes.
        free_bytes: u64,
    },
    /// The system refuses one more mapping; each shard takes two.
    #[error(
        "the system maps no more files into this process (vm.max_map_count is {limit}, a shard takes 2); {}; \
         pack larger shards (--shard-size), or raise the limit: sysctl -w vm.max_map_count={}",
        path.display(), limit.saturating_mul(4)
    )]
    TooManyMappings {
        /// The file that was to be mapped.
        path: PathBuf,
        /// How many mappings the system grants a process.
        limit: u64,
    },
    /// No sample has that number.
    #[error("there is no sample {id}; split `{split}` has {num_samples}; ask for a smaller number")]
    NoSuchSample {
        /// The number asked for.
        id: u64,
        /// The split.
        split: String,
        /// How many samples the split has.
        num_samples: u64,
    },
    /// The folder holds a set, or shards of one, already.
    #[error("the folder holds shards already; {}; use another --out, or --overwrite", dir.display())]
    Exists {
        /// The folder.
        dir: PathBuf,
    },
    /// The folder has a manifest already.
    #[error("the folder has a manifest.json already; {}; give --overwrite to replace it", dir.display())]
    Indexed {
        /// The folder.
        dir: PathBuf,
    },
    /// A file has the name that an index needs, and is none.
    #[error(
        "there is another file where the index goes; {}; \
         move it away, or give --overwrite to replace it",
        path.display()
    )]
    NotOurIndex {
        /// The file.
        path: PathBuf,
    },
    /// The set in the folder consists of shards that were indexed where they lie.
    #[error(
        "the shards of this set were there before it was indexed and are not removed; {}; use another --out",
        dir.display()
    )]
    IndexedInPlace {
        /// The folder.
        dir: PathBuf,
    },
    /// Whether the set in the folder may be replaced cannot be told.
    #[error(
        "the manifest cannot be read, so that nobody knows whether the shards beside it may be replaced; {}; \
         move it and them away, or use another --out",
        path.display()
    )]
    UnknownSet {
        /// The manifest.
        path: PathBuf,
    },
    /// Another process is writing into the folder.
    #[error("another process writes into this folder; {}; wait for it, or use another folder", dir.display())]
    Locked {
        /// The folder.
        dir: PathBuf,
    },
    /// What was handed to the writer cannot be stored.
    #[error("the sample cannot be stored: {problem}; key {key}; leave it out")]
    Unstorable {
        /// Key of the sample.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The operating system refused to read.
    #[error("cannot read: {source}; {}; check the path and its permissions", path.display())]
    Read {
        /// What was read.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The operating system refused to write.
    #[error("cannot write: {source}; {}; check free space and permissions", path.display())]
    Write {
        /// What was written.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl FormatError {
    /// Exit code of a program that ends for this reason: 2 usage, 4 resources, else 3 (data).
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::IndexedInPlace { .. }
            | Self::UnknownSet { .. }
            | Self::Exists { .. }
            | Self::Indexed { .. }
            | Self::NotOurIndex { .. } => 2,
            Self::CannotUnpack { .. }
            | Self::TooManyMappings { .. }
            | Self::Locked { .. }
            | Self::Write { .. } => 4,
            _ => 3,
        }
    }

    /// Whether the disk, or the user's share of it, is full.
    pub fn is_disk_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Self::Write { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded))
    }

    /// Gives the advice that fits the set, where there is one to give.
    pub(crate) fn advise(mut self, advice: &Remedy) -> Self {
        match &mut self {
            Self::ManifestInvalid { remedy, .. }
            | Self::ManifestChecksum { remedy, .. }
            | Self::MissingFile { remedy, .. }
            | Self::SizeDiffers { remedy, .. }
            | Self::IndexMagic { remedy, .. }
            | Self::IndexVersion { remedy, .. }
            | Self::IndexChecksum { remedy, .. }
            | Self::IndexInvalid { remedy, .. } => *remedy = advice.clone(),
            _ => {}
        }
        self
    }

    /// For `map_err` on a read of `path`.
    pub(crate) fn read(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Read { path, source }
    }

    /// For `map_err` on a write of `path`.
    pub(crate) fn write(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Write { path, source }
    }
}

/// As `stat -c %.9Y` prints it.
fn seconds(ns: i64) -> String {
    let (whole, rest) = (ns.div_euclid(1_000_000_000), ns.rem_euclid(1_000_000_000));
    format!("{whole}.{rest:09}")
}
