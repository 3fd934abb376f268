//! Everything that can be wrong with a packed set, one variant per way a file can lie.
//! Each message says what, where, and what to do.

use std::io;
use std::path::PathBuf;

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
    #[error("the manifest cannot be read: {source}; {}; pack the set again", path.display())]
    ManifestSyntax {
        /// The manifest.
        path: PathBuf,
        /// What the JSON parser met, with line and column.
        source: serde_json::Error,
    },
    /// The manifest is of another version.
    #[error(
        "the set has format version {found}, this program reads version {expected}; {}; \
         pack the set again with this version, or use the program that wrote it",
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
    /// The manifest contradicts itself.
    #[error("the manifest contradicts itself: {problem}; {}; pack the set again", path.display())]
    ManifestInvalid {
        /// The manifest.
        path: PathBuf,
        /// The contradiction.
        problem: String,
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
    #[error("a file of the set is missing; {}; copy it again or pack the set again", path.display())]
    MissingFile {
        /// The missing file.
        path: PathBuf,
    },
    /// A file is shorter or longer than the manifest says: cut short, or changed since.
    #[error(
        "the file has {found} bytes, the manifest says {expected}; {}; \
         it was cut short or changed: copy it again or pack the set again",
        path.display()
    )]
    SizeDiffers {
        /// The file.
        path: PathBuf,
        /// Size in the manifest, bytes.
        expected: u64,
        /// Size on disk, bytes.
        found: u64,
    },
    /// The file does not start with the magic bytes of an index.
    #[error("this is not a shard index; {}; copy it again or pack the set again", path.display())]
    IndexMagic {
        /// The index.
        path: PathBuf,
    },
    /// The index is of another version.
    #[error("the index has version {found}, not {expected}; {}; pack the set again", path.display())]
    IndexVersion {
        /// The index.
        path: PathBuf,
        /// The version it states.
        found: u32,
        /// The version this crate reads.
        expected: u32,
    },
    /// The checksum over the index header or body does not hold.
    #[error(
        "the {part} of the index is damaged (checksum differs); {}; \
         copy it again or pack the set again",
        path.display()
    )]
    IndexChecksum {
        /// The index.
        path: PathBuf,
        /// `header` or `body`.
        part: &'static str,
    },
    /// The index contradicts itself, the manifest, or the shard.
    #[error("the index is inconsistent: {problem}; {}; pack the set again", path.display())]
    IndexInvalid {
        /// The index.
        path: PathBuf,
        /// The contradiction.
        problem: String,
    },
    /// An entry points outside of its shard.
    #[error(
        "the image lies outside of its shard; {} at offset {offset}, {length} bytes of {shard_bytes}; \
         pack the set again",
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
    },
    /// The bytes of an image are not those that were packed.
    #[error(
        "the image bytes are damaged (checksum differs); {shard} key {key} at offset {offset}; \
         copy the shard again or pack the set again"
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
    /// There is no room for the tar of a compressed shard.
    #[error(
        "no room to unpack a compressed shard; {}: {needed_bytes} bytes needed, {free_bytes} free; free some, or let TMPDIR name \
         another folder",
        dir.display()
    )]
    NoRoomToUnpack {
        /// The folder for temporary files.
        dir: PathBuf,
        /// Size of the tar, bytes.
        needed_bytes: u64,
        /// Free space, bytes.
        free_bytes: u64,
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
    /// Another process is writing into the folder.
    #[error("another process is packing into this folder; {}; wait for it or use another --out", dir.display())]
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
            | Self::Exists { .. }
            | Self::Indexed { .. }
            | Self::NotOurIndex { .. } => 2,
            Self::NoRoomToUnpack { .. } | Self::Locked { .. } | Self::Write { .. } => 4,
            _ => 3,
        }
    }

    /// Whether the disk, or the user's share of it, is full.
    pub fn is_disk_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Self::Write { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded))
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
