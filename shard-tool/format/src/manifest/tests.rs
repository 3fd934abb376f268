//! Manifests that are read as they were written, and what is said where there is none.

use std::fs;
use std::path::Path;

use super::*;
use crate::error::{Fault, FormatError};
use crate::index::VERSION;

pub(super) fn manifest() -> Manifest {
    let shard = ShardManifest {
        file: "train-000000.tar".into(),
        num_samples: 3,
        num_bytes: 10_240,
        zstd_bytes: None,
        xxh3: "00000000000000aa".into(),
        index_file: "train-000000.idx".into(),
        index_bytes: 200,
        index_xxh3: "00000000000000bb".into(),
    };
    let split = SplitManifest {
        num_samples: 3,
        num_bytes: 10_240,
        shards: vec![shard],
        ..Default::default()
    };
    let classes = vec!["cat".into(), "dog".into()];
    Manifest {
        version: VERSION,
        classes,
        splits: [("train".into(), split)].into(),
        indexed_in_place: None,
    }
}

pub(super) fn parse(manifest: &Manifest) -> Result<Manifest, FormatError> {
    Manifest::parse(manifest.to_json().as_bytes(), Path::new("manifest.json"))
}

pub(super) fn assert_refused(manifest: &Manifest) {
    let error = parse(manifest).expect_err("refused");
    assert_eq!(error.fault(), Fault::Manifest, "{error}");
}

#[test]
fn a_manifest_survives_being_written_and_read() {
    assert_eq!(parse(&manifest()).expect("parses"), manifest());
}

#[test]
fn the_id_depends_on_every_digest() {
    let mut other = manifest();
    other.splits.get_mut("train").expect("train").shards[0]
        .index_xxh3
        .replace_range(0..1, "1");
    assert_ne!(manifest().id(), other.id());
    assert_eq!(manifest().id(), manifest().id());
}

#[test]
fn the_id_does_not_depend_on_how_the_set_was_made() {
    let mut indexed = manifest();
    indexed.indexed_in_place = Some(IndexedInPlace::default());
    assert_eq!(manifest().id(), indexed.id());
}

#[test]
fn the_advice_fits_the_sort_of_the_set() {
    let mut lying = manifest();
    lying.classes.push("cat".into());
    let advice = |manifest: &Manifest| parse(manifest).unwrap_err().to_string();
    assert!(advice(&lying).ends_with("copy it again or pack the set again"));
    lying.indexed_in_place = Some(IndexedInPlace::default());
    assert!(advice(&lying).ends_with("index the set again"));
}

#[test]
fn a_future_version_is_named_before_anything_else_is_looked_at() {
    let error = Manifest::parse(br#"{"version": 7, "new": 1}"#, Path::new("m")).unwrap_err();
    let told = "the set has format version 7, this program reads version 1";
    assert_eq!(error.what(), told);
}

#[test]
fn a_folder_of_images_is_told_from_one_of_tars() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = folder.path().join("photos");
    fs::create_dir_all(dir.join("train/cat")).expect("made");
    fs::write(dir.join("train/cat/a.JPEG"), b"").expect("written");
    let fault = |dir: &Path| Manifest::load(dir).unwrap_err().fault();
    assert_eq!(fault(&dir), Fault::NotPacked);
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("a-0.tar"), b"").expect("written");
    assert_eq!(fault(folder.path()), Fault::NotIndexed);
}

#[test]
fn missing_folder_file_and_empty_folder_are_told_apart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let missing = folder.path().join("missing");
    let what = |dir: &Path| Manifest::load(dir).unwrap_err().what().to_owned();
    assert_eq!(what(&missing), "the folder does not exist");
    assert!(what(folder.path()).starts_with("there is no manifest.json"));
    fs::write(&missing, b"").expect("written");
    assert_eq!(what(&missing), "this is not a folder");
}
