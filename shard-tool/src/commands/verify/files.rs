//! Files against the manifest: sizes, digests, counts. Reads the whole tar.

use shard_format::Index;
use xxhash_rust::xxh3::xxh3_64;

use super::defect::{Cause, Defect};
use super::digest::{hex, of_tar};
use super::findings::TarFacts;
use super::shard::Shard;

/// Compares the tar with the manifest; `None` if there is no tar.
pub(super) fn check_tar(shard: &Shard<'_>, defects: &mut Vec<Defect>) -> Option<TarFacts> {
    let tar = shard.tar.as_ref()?;
    let (num_bytes, digest) = (tar.len() as u64, of_tar(tar));
    let stated = shard.manifest;
    let file = &stated.file;
    if num_bytes != stated.num_bytes {
        let reason = size_reason(num_bytes, stated.num_bytes);
        defects.push(Defect::of_file(Cause::Size, file, reason));
    } else if hex(digest) != stated.xxh3 {
        let reason = digest_reason(digest, &stated.xxh3);
        defects.push(Defect::of_file(Cause::Digest, file, reason));
    } else if shard.is_touched() {
        let reason = "it was written to, or copied without its time, since it was indexed, \
                      though the bytes are the same: --repair notes the new time";
        defects.push(Defect::of_file(Cause::Time, file, reason));
    }
    let as_stated = num_bytes == stated.num_bytes && hex(digest) == stated.xxh3;
    Some(TarFacts {
        num_bytes,
        digest,
        as_stated,
    })
}

/// Compares the index with the manifest, unless there is none of use.
pub(super) fn check_index(shard: &Shard<'_>, defects: &mut Vec<Defect>) {
    let Some(index) = shard.index.as_ref().filter(|_| !shard.rebuilt) else {
        return;
    };
    let stated = shard.manifest;
    let mut tell = |cause, reason| defects.push(Defect::of_file(cause, &stated.index_file, reason));
    let digest = xxh3_64(index.bytes());
    if index.file_bytes() != stated.index_bytes {
        let reason = size_reason(index.file_bytes(), stated.index_bytes);
        tell(Cause::Size, reason);
    } else if hex(digest) != stated.index_xxh3 {
        tell(Cause::Digest, digest_reason(digest, &stated.index_xxh3));
    }
    if index.num_entries() != stated.num_samples {
        let reason = format!(
            "the manifest says {} samples, the index has {}",
            stated.num_samples,
            index.num_entries()
        );
        tell(Cause::Manifest, reason);
    }
    if !describes_stated_tar(index, shard) {
        let reason = "the index was made for another tar than the manifest states".to_owned();
        tell(Cause::Index, reason);
    }
}

fn describes_stated_tar(index: &Index, shard: &Shard<'_>) -> bool {
    index.shard_bytes() == shard.manifest.num_bytes
        && hex(index.shard_digest()) == shard.manifest.xxh3
}

fn size_reason(found: u64, stated: u64) -> String {
    let what = if found < stated { "cut short" } else { "grown" };
    format!("the file is {what}: it has {found} bytes, the manifest says {stated}")
}

fn digest_reason(found: u64, stated: &str) -> String {
    format!(
        "bytes have changed: the digest is {}, the manifest says {stated}",
        hex(found)
    )
}
