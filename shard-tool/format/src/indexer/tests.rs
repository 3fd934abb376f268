use super::*;
use crate::image_header::{Content, identify};
use crate::manifest::modified_ns;
use crate::reader::ShardSet;

const IMAGE: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x05\0\0\0\x04\x08\x02\0\0\0";

fn shard(key: &str) -> ShardIndexer {
    let Content::Image(header) = identify(IMAGE) else {
        panic!("not an image")
    };
    let mut shard = ShardIndexer::default();
    let found = FoundSample {
        key,
        offset: 0,
        length: IMAGE.len() as u32,
        crc: crc32fast::hash(IMAGE),
        header,
        label: Some(0),
    };
    shard.append(&found).expect("added");
    shard
}

fn index(dir: &Path, overwrite: bool, file: &str) -> Result<Manifest, FormatError> {
    fs::write(dir.join(file), IMAGE).expect("written");
    let mut indexer = SetIndexer::create(dir, IndexedInPlace::default(), overwrite)?;
    let tar = WalkedTar {
        file,
        num_bytes: IMAGE.len() as u64,
        digest: xxh3_64(IMAGE),
        modified_ns: modified_ns(&fs::metadata(dir.join(file)).expect("is there")),
    };
    indexer.add_shard("train", &tar, shard("any.key"))?;
    indexer.finish(vec!["0".to_owned()])
}

#[test]
fn a_set_with_foreign_names_is_opened() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    index(dir.path(), false, "my shard.v2").expect("indexed");
    let set = ShardSet::open(dir.path(), "train").expect("opens");
    let sample = set.sample(0).expect("the sample");
    sample.check().expect("sound");
    assert_eq!(
        (sample.key, sample.image().expect("is there")),
        ("any.key", IMAGE)
    );
}

#[test]
fn a_manifest_is_replaced_only_on_request_and_a_dropped_indexer_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    index(dir.path(), false, "a.tar").expect("indexed");
    let again = index(dir.path(), false, "a.tar");
    assert!(again.is_err_and(|error| error.fault() == Fault::Indexed));
    index(dir.path(), true, "a.tar").expect("replaced");
    let mut indexer =
        SetIndexer::create(dir.path(), IndexedInPlace::default(), true).expect("starts");
    let tar = WalkedTar {
        file: "b.tar",
        num_bytes: 1,
        digest: 1,
        modified_ns: 0,
    };
    indexer
        .add_shard("val", &tar, ShardIndexer::default())
        .expect("added");
    drop(indexer);
    assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 3);
}

#[test]
fn an_index_of_another_program_is_not_overwritten_unasked() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let theirs = dir.path().join("a.idx");
    fs::write(&theirs, b"v1.2 1\n").expect("written");
    let refused = index(dir.path(), false, "a.tar");
    assert!(refused.is_err_and(|error| error.fault() == Fault::NotOurIndex));
    assert_eq!(fs::read(&theirs).expect("still there"), b"v1.2 1\n");
    index(dir.path(), true, "a.tar").expect("replaced");
    fs::remove_file(dir.path().join(MANIFEST_FILE)).expect("removed");
    index(dir.path(), false, "a.tar").expect("its own index is replaced");
}

#[test]
fn names_that_cannot_be_are_refused_before_anything_is_replaced() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let refused = index(dir.path(), false, ".hidden.tar");
    assert!(refused.is_err_and(|error| error.fault() == Fault::Manifest));
    assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1);
}

#[test]
fn what_a_killed_indexer_left_is_removed_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let left = [
        ".a.idx.partial",
        ".my shard.v2.idx.partial",
        ".manifest.json.partial",
    ];
    let others = [
        ".train-000000.idx.partial",
        ".train-000000.tar.partial",
        ".val-000000.idx.partial",
        ".val-000000.tar.zst.partial",
        ".notes.partial",
        "b.idx.partial",
    ];
    for file in left.iter().chain(&others) {
        fs::write(dir.path().join(file), b"half").expect("written");
    }
    index(dir.path(), false, "b.tar").expect("indexed");
    let is_there = |file: &&str| dir.path().join(file).exists();
    assert!(!left.iter().any(&is_there));
    assert!(others.iter().all(is_there));
}
