//! The options of `shard-tool verify`.

use std::path::PathBuf;

use clap::Args;

const ABOUT: &str = "Check a set: files, indexes, members of the shards, every image; find duplicates.

Compares sizes and digests of all files with the manifest, every entry of the indexes with the members \
of the tars, and every image with its checksum and header. Finds the same bytes in two classes, or in \
train and in another split. A defect does not end it: it lists all of them and ends with exit code 3 if \
there is any. Works on all processors and reads each byte once from the disk.

--decode refuses what the loader would replace, such as a JPEG whose data end early. What the loader gets over (extra \
bytes before a marker, no end marker after complete data) is counted as an oddity. \
An arithmetic-coded JPEG is not decoded, since this program cannot and the loader can.

--repair writes new indexes and a new manifest without the bad samples; shards stay as they are. \
Of the same bytes in two classes every copy is dropped, of the same bytes in train and another split \
the copy in train. A damaged index is made anew from a sound shard. A member of a shard that is not in \
the index is not part of the set: this is noted and is no defect.

Of a set that was indexed where it lay (shard-tool index) the labels are not compared with the tars, and keys may \
occur again, which is noted. A damaged index is not made anew: the command of shard-tool index that does it is told. A tar that was written to since then is \
a defect even if its bytes are the same, since readers refuse it; --repair notes the new time.

Compressed shards are unpacked below TMPDIR, all together. Memory: at most 100 bytes for each sample, and what is told of defects. The median of the sizes in bytes is exact up to 0.03 %.";

const EXAMPLE: &str = "Example:
  shard-tool verify imagenet-shards --decode
  shard-tool verify imagenet-shards --json | jq -r '.defects[] | [.shard, .key, .reason] | @tsv'";

/// Check a set: files, indexes, members of the shards, every image; find duplicates.
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLE)]
pub(crate) struct VerifyOptions {
    /// Folder that holds manifest.json.
    pub(super) set: PathBuf,
    /// Decode every image.
    #[arg(long)]
    pub(super) decode: bool,
    /// Drop bad samples: write new indexes and a new manifest.
    #[arg(long)]
    pub(super) repair: bool,
    /// One JSON object.
    #[arg(long)]
    pub(super) json: bool,
}
