//! # The shard format, version 1
//!
//! A *packed set* is a folder that holds labelled images in a form which is read by mapping, not by
//! parsing. This crate writes and reads it. It knows nothing of decoding, cropping, epochs or
//! sockets, and keeps no global state; its only thread waits for the disk while a shard is written.
//!
//! ```text
//! imagenet-shards/
//!     manifest.json            classes; for each split its shards with size, count, digests
//!     train-000000.tar         images and labels, a plain WebDataset shard
//!     train-000000.idx         where each image lies in it, and what it is
//!     train-000001.tar  ...
//!     val-000000.tar    ...
//! ```
//!
//! A set is complete exactly when `manifest.json` is there: it is written last. Everything is first
//! written under a temporary name (`.train-000000.tar.partial`), synced to disk and renamed.
//! The same samples in the same order give the same bytes in every file.
//!
//! ## Shard (`<split>-<number, six digits>.tar`)
//!
//! Each sample is two consecutive members: `<key>.jpg` (or `<key>.png`: the extension tells the
//! content, whatever the source file was called) with the bytes of the source file unchanged,
//! then `<key>.cls` with the label in decimal. An unlabelled sample has no `.cls`.
//! Headers are GNU tar with mode 0644, owner 0 and time 0; names over 100 bytes use
//! the GNU long-name member, so that stock `tar` and WebDataset readers see them whole.
//! What is in a set is what its indexes list: a member of a shard that no entry names is not part of
//! the set. So samples are dropped by writing a new index and manifest, shards untouched; the digests in the manifest tell such an index from a damaged one.
//!
//! A member name is split at the first dot after its last slash, hence keys have no dot there
//! ([`name`] states how keys are made and how to get the source name back).
//!
//! A set may also be made of tars that someone else wrote, of which only index and manifest are ours
//! ([`SetIndexer`]). They have any plain file name, any keys up to 65,535 bytes and any members;
//! [`members`] and [`grouping`] state which of these are samples.
//!
//! A shard may be compressed with zstd as a whole (`train-000000.tar.zst`). Index and manifest then describe the tar in it; readers
//! unpack it into a temporary file.
//!
//! ## Index (`<split>-<number>.idx`, or the name of the tar with `.idx` in place of `.tar`)
//!
//! Little endian throughout; `header | entries | keys`, nothing after.
//!
//! | header, bytes | |
//! |---|---|
//! | 0..8 | magic `89 53 48 49 44 58 0D 0A` (`\x89SHIDX\r\n`) |
//! | 8..12 | version, 1 |
//! | 12..16 | bytes per entry, 40 |
//! | 16..24 | number of entries |
//! | 24..32 | size of the tar in bytes |
//! | 32..40 | size of the key bytes |
//! | 40..48 | XXH3-64 of the tar |
//! | 48..52 | CRC-32 of everything after the header |
//! | 52..60 | zero |
//! | 60..64 | CRC-32 of bytes 0..60 |
//!
//! | entry, bytes | |
//! |---|---|
//! | 0..8 | offset of the image bytes in the tar |
//! | 8..12 | their number |
//! | 12..16 | their CRC-32 |
//! | 16..20, 20..24 | width, height in pixels, as the image header says |
//! | 24..28 | label; `FF FF FF FF` = unlabelled |
//! | 28..32 | offset of the key in the key bytes |
//! | 32..34 | length of the key |
//! | 34 | kind ([`ImageKind`]) |
//! | 35 | colour model ([`ColourModel`]) |
//! | 36 | bits per channel |
//! | 37..40 | zero |
//!
//! ## Manifest (`manifest.json`)
//!
//! [`Manifest`] is its schema; at its end is a checksum of all the text before ([`Manifest::to_json`]). A label is the position of a name in `classes`.
//! The samples of a split are numbered from 0 through its shards, in the order of the manifest.
//! The numbers in the names of the shards rise in that order; some may be left out.
//! Of tars that were there before the set it keeps how they were indexed and when each was last written to
//! ([`IndexedInPlace`]); one that was written to since is refused.

mod error;
pub mod folder;
pub mod grouping;
pub mod image_header;
mod index;
mod indexer;
mod manifest;
mod mapping;
pub mod members;
pub mod name;
pub mod pattern;
mod reader;
mod sample;
mod unpacked;
mod writer;

pub use error::{ErrorKind, Fault, FormatError, Remedy};
pub use index::{ENTRY_BYTES, Entry, HEADER_BYTES, Index, IndexBuilder, UNLABELLED, VERSION};
pub use indexer::{FoundSample, SetIndexer, ShardIndexer, WalkedTar};
pub use manifest::{IndexedInPlace, Manifest, ShardManifest, SplitManifest, modified_ns};
pub use mapping::MappedFile;
pub use name::MANIFEST_FILE;
pub use reader::{CutShard, ReadOptions, Sample, ShardSet};
pub use sample::{ColourModel, ImageHeader, ImageKind};
pub use unpacked::{check_room_to_unpack, map_shard};
pub use writer::{FinishedShard, NewSample, SetWriter, TAR_END_BYTES, WriterOptions};
