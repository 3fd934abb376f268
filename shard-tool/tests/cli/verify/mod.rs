//! `shard-tool verify` on sets in which defects were planted, one of each kind.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use shard_format::{Entry, Index, IndexBuilder, Manifest, ShardSet};
use xxhash_rust::xxh3::xxh3_64;

use crate::harness::{Outcome, cats_and_dogs, folder, jpeg, pack, put, shard_tool, tree};

mod decode;
mod duplicates;
mod files;
mod in_place;
mod memory;
mod samples;

const TAR: &str = "train-000000.tar";
const INDEX: &str = "train-000000.idx";

/// A set with three cats and three dogs in train and a dog in val, and what it is in.
fn packed() -> (tempfile::TempDir, PathBuf) {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src.join("train"));
    put(src.join("val/dog/7.JPEG"), &jpeg(200));
    pack(&src, &out, &[], 0);
    (dir, out)
}

/// A set of four shards with a large image each.
fn packed_in_shards() -> (tempfile::TempDir, PathBuf) {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    for number in 0..4 {
        let mut large = jpeg(number);
        large.resize(700 << 10, number);
        put(src.join(format!("cat/{number}.JPEG")), &large);
    }
    pack(&src, &out, &["--shard-size", "1"], 0);
    (dir, out)
}

fn verify(set: &Path, more: &[&str], code: i32) -> Outcome {
    let mut arguments = vec!["verify", set.to_str().expect("UTF-8")];
    arguments.extend(more);
    let outcome = shard_tool(&arguments);
    assert_eq!(outcome.code, code, "{outcome:#?}");
    outcome
}

fn report(set: &Path, more: &[&str], code: i32) -> Value {
    let more = [&["--json"], more].concat();
    serde_json::from_str(&verify(set, &more, code).stdout).expect("JSON")
}

/// `cause shard key: reason` of each defect, sorted.
fn defects(set: &Path, more: &[&str]) -> Vec<String> {
    let report = report(set, more, 3);
    let text = |defect: &Value| {
        let field = |name: &str| defect[name].as_str().unwrap_or("-").to_owned();
        let (cause, shard) = (field("cause"), field("shard"));
        format!("{cause} {shard} {}: {}", field("key"), field("reason"))
    };
    let defects = report["defects"].as_array().expect("a list");
    let mut defects: Vec<String> = defects.iter().map(text).collect();
    defects.sort();
    defects
}

/// Expects exactly these defects, each told by the start of its line.
fn assert_defects(set: &Path, more: &[&str], expected: &[&str]) {
    let found = defects(set, more);
    let agree = found.len() == expected.len()
        && found
            .iter()
            .zip(expected)
            .all(|(found, expected)| found.starts_with(expected));
    assert!(agree, "found {found:#?}\nexpected {expected:#?}");
}

fn assert_repairable(set: &Path, num_left: u64) {
    let shards = |set: &Path| {
        let mut files = tree(set);
        files.retain(|path, _| path.extension().is_some_and(|extension| extension == "tar"));
        files
    };
    let before = shards(set);
    let repaired = report(set, &["--repair", "--decode"], 0);
    assert_eq!(repaired["repaired"]["num_samples_left"], num_left);
    let after = report(set, &["--decode"], 0);
    assert_eq!(after["num_images"], num_left, "{after:#}");
    assert_eq!(shards(set), before);
    let readable = ShardSet::open(set, "train").expect("the set opens");
    assert!(readable.samples().all(|sample| sample.is_ok()));
}

fn edit(path: PathBuf, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(&path).expect("read");
    change(&mut bytes);
    fs::remove_file(&path).expect("removed");
    fs::write(&path, bytes).expect("written");
}

fn edit_manifest(set: &Path, change: impl FnOnce(&mut Value)) {
    edit(set.join("manifest.json"), |bytes| {
        let mut manifest: Value = serde_json::from_slice(bytes).expect("JSON");
        manifest
            .as_object_mut()
            .expect("an object")
            .remove("checksum");
        change(&mut manifest);
        let manifest: Manifest = serde_json::from_value(manifest).expect("a manifest");
        *bytes = manifest.to_json().into_bytes();
    });
}

/// Writes the index of a shard of train anew, with other entries and keys, and other facts about the tar; the manifest vouches for
/// it.
fn reindex(
    set: &Path,
    change: impl FnOnce(&mut Vec<(Entry, String)>),
    tar: impl FnOnce(&mut (u64, u64)),
) {
    let path = set.join(INDEX);
    let index = Index::open(&path).expect("opens");
    let entry = |number| {
        let (entry, key) = index.entry(number).expect("an entry");
        (entry, key.to_owned())
    };
    let mut entries: Vec<(Entry, String)> = (0..index.num_entries()).map(entry).collect();
    let mut facts = (index.shard_bytes(), index.shard_digest());
    change(&mut entries);
    tar(&mut facts);
    let mut builder = IndexBuilder::default();
    for (entry, key) in &entries {
        builder.push(entry, key);
    }
    let bytes = builder.to_bytes(facts.0, facts.1);
    edit_manifest(set, |manifest| {
        let shard = &mut manifest["splits"]["train"]["shards"][0];
        shard["index_bytes"] = bytes.len().into();
        shard["index_xxh3"] = format!("{:016x}", xxh3_64(&bytes)).into();
    });
    edit(path, |old| *old = bytes);
}

/// Offset of the image of `key` in the first shard of train.
fn offset(set: &Path, key: &str) -> usize {
    let set = ShardSet::open(set, "train").expect("the set opens");
    let sample = set
        .samples()
        .flatten()
        .find(|sample| sample.key == key)
        .expect("the key");
    sample.offset as usize
}
