//! Images and keys that are there twice.

use std::fs;

use super::{assert_defects, assert_repairable, edit_manifest, packed_in_shards, report, verify};
use crate::harness::{cats_and_dogs, folder, jpeg, pack, put};

#[test]
fn the_same_bytes_in_two_classes_are_told_for_each_copy() {
    let dir = folder();
    let (src, set) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src);
    put(src.join("dog/cat.JPEG"), &jpeg(1));
    put(src.join("dog/again.JPEG"), &jpeg(100));
    pack(&src, &set, &[], 0);
    assert_defects(
        &set,
        &[],
        &[
            "duplicate-in-classes train-000000.tar cat/1: the same bytes are in class dog: train-000000.tar dog/cat",
            "duplicate-in-classes train-000000.tar dog/cat: the same bytes are in class cat: train-000000.tar cat/1",
        ],
    );
    let text = verify(&set, &[], 3).stdout;
    assert!(
        text.contains("note: exact copies within a class and split: "),
        "{text}"
    );
    assert_repairable(&set, 6);
}

#[test]
fn the_same_bytes_in_train_and_val_are_told_for_train() {
    let dir = folder();
    let (src, set) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src.join("train"));
    put(src.join("val/cat/seen.JPEG"), &jpeg(2));
    pack(&src, &set, &[], 0);
    assert_defects(
        &set,
        &[],
        &[
            "duplicate-in-splits train-000000.tar cat/2: the same bytes are in split val: val-000000.tar cat/seen",
        ],
    );
    assert_repairable(&set, 6);
}

#[test]
fn a_key_that_occurs_twice_in_a_split_is_told_with_both_places() {
    let (_dir, set) = packed_in_shards();
    for kind in ["tar", "idx"] {
        fs::copy(
            set.join(format!("train-000000.{kind}")),
            set.join(format!("train-000009.{kind}")),
        )
        .expect("copied");
    }
    edit_manifest(&set, |manifest| {
        let train = &mut manifest["splits"]["train"];
        let mut copy = train["shards"][0].clone();
        copy["file"] = "train-000009.tar".into();
        copy["index_file"] = "train-000009.idx".into();
        train["num_samples"] = 5.into();
        train["num_bytes"] = (train["num_bytes"].as_u64().expect("a size")
            + copy["num_bytes"].as_u64().expect("a size"))
        .into();
        train["kinds"]["jpeg-baseline"] = 5.into();
        train["colours"]["ycbcr"] = 5.into();
        train["shards"].as_array_mut().expect("a list").push(copy);
    });
    assert_defects(&set, &[], &["key train-000009.tar cat/"]);
    let told = verify(&set, &[], 3).stdout;
    assert!(
        told.contains("the key occurs twice in this split: train-000000.tar cat/"),
        "{told}"
    );
    assert_repairable(&set, 4);
}

#[test]
fn many_copies_in_many_classes_are_each_told_once() {
    let dir = folder();
    let (src, set) = (dir.path().join("src"), dir.path().join("out"));
    for number in 0..3_000 {
        put(src.join(format!("{}/{number}.jpg", number % 3)), &jpeg(7));
    }
    put(src.join("0/other.jpg"), &jpeg(8));
    pack(&src, &set, &[], 0);
    let report = report(&set, &[], 3);
    assert_eq!(report["num_bad_samples"], 3_000);
    let defects = report["defects"].as_array().expect("a list");
    assert_eq!(defects.len(), 3_000);
    for defect in defects {
        let (key, reason) = (&defect["key"], &defect["reason"]);
        let class = key
            .as_str()
            .expect("a key")
            .split('/')
            .next()
            .expect("a class");
        let told = reason.as_str().expect("a reason");
        assert!(!told.contains(&format!("in class {class}:")), "{defect}");
    }
    assert_repairable(&set, 1);
}
