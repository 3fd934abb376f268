//! What this crate writes, it reads; and what the writer does to a folder.

use std::fs;
use std::path::Path;

use shard_format::{Fault, FormatError, Manifest, SetWriter, ShardSet, WriterOptions};

use crate::harness::{
    Item, OPTIONS, append, classes, files_of, folder, hard_items, item, items, jpeg, png, read,
    write, write_with,
};

#[test]
fn what_was_written_is_read_back() {
    let dir = folder();
    let manifest = write(dir.path(), &items(20));
    assert_eq!(read(dir.path()), items(20));
    assert_eq!(
        manifest,
        Manifest::load(dir.path()).expect("the manifest loads")
    );
    let set = ShardSet::open(dir.path(), "train").expect("the set opens");
    assert_eq!((set.classes(), set.split()), (&classes()[..], "train"));
    let sample = set.sample(4).expect("the sample is there");
    assert_eq!(
        (
            sample.header.width,
            sample.header.height,
            sample.header.bits
        ),
        (5, 9, 8)
    );
    assert_eq!(sample.shard, "train-000000.tar");
    let shard = fs::read(dir.path().join(sample.shard)).expect("the shard");
    assert!(shard[sample.offset as usize..].starts_with(sample.image().expect("is there")));
    let error = set.sample(20).expect_err("there are 20");
    let told = "there is no sample 20; split `train` has 20; ask for a smaller number";
    assert_eq!(error.to_string(), told);
}

#[test]
fn the_same_samples_give_the_same_bytes() {
    let (first, second) = (folder(), folder());
    write(first.path(), &items(30));
    write(second.path(), &items(30));
    for (a, b) in files_of(first.path()).iter().zip(files_of(second.path())) {
        assert_eq!(a.file_name(), b.file_name());
        assert_eq!(
            fs::read(a).expect("read"),
            fs::read(&b).expect("read"),
            "{}",
            b.display()
        );
    }
}

#[test]
fn shards_are_closed_before_they_grow_too_large() {
    let dir = folder();
    let options = WriterOptions {
        shard_bytes: 16 << 10,
        ..OPTIONS
    };
    let manifest = write_with(dir.path(), &items(40), options).expect("the set is written");
    let shards = &manifest.splits["train"].shards;
    assert!(shards.len() > 3);
    assert!(shards.iter().all(|shard| shard.num_bytes <= 16 << 10));
    assert_eq!(read(dir.path()), items(40));
}

#[test]
fn a_sample_larger_than_a_shard_gets_one_of_its_own() {
    let dir = folder();
    let options = WriterOptions {
        shard_bytes: 4 << 10,
        ..OPTIONS
    };
    let all = [
        item("a/x", jpeg(1, 1, &[1; 9_000]), 0),
        item("a/y", jpeg(1, 1, b""), 0),
    ];
    let manifest = write_with(dir.path(), &all, options).expect("the set is written");
    assert_eq!(manifest.splits["train"].shards.len(), 2);
    assert_eq!(read(dir.path()), all);
}

#[test]
fn hard_names_survive() {
    let dir = folder();
    write(dir.path(), &hard_items());
    assert_eq!(read(dir.path()), hard_items());
}

#[test]
fn a_sample_may_have_no_label() {
    let dir = folder();
    let all = [
        Item {
            label: None,
            ..item("a/x", jpeg(1, 1, b""), 0)
        },
        item("a/y", png(), 2),
    ];
    let manifest = write(dir.path(), &all);
    assert_eq!(manifest.splits["train"].num_unlabelled, 1);
    assert_eq!(read(dir.path()), all);
}

#[test]
fn keys_that_readers_would_trip_over_are_refused() {
    for key in ["a", "a/", "/b", "a/b.c", "../b", "a/./b", "a//b"] {
        let outcome = write_with(folder().path(), &[item(key, png(), 0)], OPTIONS);
        assert!(
            outcome.is_err_and(|error| error.fault() == Fault::Unstorable),
            "{key}"
        );
    }
    let unknown_label = write_with(folder().path(), &[item("a/b", png(), 3)], OPTIONS);
    assert!(unknown_label.is_err_and(|error| error.fault() == Fault::Unstorable));
}

#[test]
fn two_writers_do_not_share_a_folder() {
    let dir = folder();
    let _first = SetWriter::create(dir.path(), classes(), OPTIONS).expect("starts");
    let second = SetWriter::create(dir.path(), classes(), OPTIONS);
    assert!(second.is_err_and(|error| error.fault() == Fault::Locked));
}

#[test]
fn a_complete_set_is_replaced_only_on_request_and_stays_mapped() {
    let dir = folder();
    let small = WriterOptions {
        shard_bytes: 16 << 10,
        ..OPTIONS
    };
    write_with(dir.path(), &items(40), small).expect("the set is written");
    assert!(
        write_with(dir.path(), &items(2), OPTIONS)
            .is_err_and(|error| error.fault() == Fault::Exists)
    );
    let old = ShardSet::open(dir.path(), "train").expect("the set opens");
    let replace = WriterOptions {
        overwrite: true,
        ..OPTIONS
    };
    write_with(dir.path(), &items(2), replace).expect("the set is replaced");
    assert_eq!(read(dir.path()), items(2));
    assert_eq!(files_of(dir.path()).len(), 3);
    old.sample(39)
        .expect("the old set")
        .check()
        .expect("is still whole");
}

#[test]
fn shards_of_someone_else_are_neither_overwritten_nor_removed() {
    let dir = folder();
    let (same, other) = (
        dir.path().join("train-000000.tar"),
        dir.path().join("other-000000.tar"),
    );
    fs::write(&same, b"theirs").expect("written");
    fs::write(&other, b"theirs").expect("written");
    assert!(
        write_with(dir.path(), &items(2), OPTIONS)
            .is_err_and(|error| error.fault() == Fault::Exists)
    );
    assert_eq!(fs::read(&same).expect("still there"), b"theirs");
    let replace = WriterOptions {
        overwrite: true,
        ..OPTIONS
    };
    write_with(dir.path(), &items(2), replace).expect("the set is written");
    assert_eq!(fs::read(&other).expect("still there"), b"theirs");
}

/// A set of two shards over one of ten, whose replacement broke off where a file of its second split was to get its name.
fn broken_replacement(dir: &Path) -> WriterOptions {
    let small = WriterOptions {
        shard_samples: 4,
        ..OPTIONS
    };
    write_with(dir, &items(40), small).expect("the set is written");
    let in_the_way = dir.join("val-000000.tar");
    fs::create_dir_all(in_the_way.join("x")).expect("made");
    let replace = WriterOptions {
        overwrite: true,
        shard_samples: 20,
        ..OPTIONS
    };
    two_splits(dir, replace).expect_err("a folder is in the way");
    fs::remove_dir_all(in_the_way).expect("removed");
    assert!(!dir.join("manifest.json").exists());
    assert!(dir.join("train-000009.tar").exists());
    replace
}

fn two_splits(dir: &Path, options: WriterOptions) -> Result<Manifest, FormatError> {
    let mut writer = SetWriter::create(dir, classes(), options)?;
    for split in ["train", "val"] {
        writer.begin_split(split);
        append(&mut writer, &items(1)[0])?;
        writer.end_split()?;
    }
    writer.finish()
}

const TWO_SPLITS: [&str; 5] = [
    "manifest.json",
    "train-000000.idx",
    "train-000000.tar",
    "val-000000.idx",
    "val-000000.tar",
];

fn names_of(dir: &Path) -> Vec<String> {
    let files = files_of(dir).into_iter();
    let name = |path: std::path::PathBuf| path.file_name().expect("a name").to_owned();
    files
        .map(|path| name(path).into_string().expect("UTF-8"))
        .collect()
}

#[test]
fn a_replacement_that_broke_off_leaves_nothing_of_the_old_set_once_it_is_done_again() {
    let dir = folder();
    let replace = broken_replacement(dir.path());
    let unasked = WriterOptions {
        overwrite: false,
        ..replace
    };
    assert!(two_splits(dir.path(), unasked).is_err_and(|error| error.fault() == Fault::Exists));
    two_splits(dir.path(), replace).expect("the set is written");
    assert_eq!(names_of(dir.path()), TWO_SPLITS);
}

#[test]
fn a_replacement_that_broke_off_twice_or_after_the_manifest_is_remembered_too() {
    let dir = folder();
    let replace = broken_replacement(dir.path());
    let note = dir.path().join(".replaced.json");
    let text = fs::read(&note).expect("the note");
    two_splits(dir.path(), replace).expect("the set is written");
    // As if it had been killed before it removed the old files.
    fs::write(dir.path().join("train-000009.tar"), b"old").expect("written");
    fs::write(&note, text).expect("written");
    two_splits(dir.path(), replace).expect("the set is replaced");
    assert_eq!(names_of(dir.path()), TWO_SPLITS);
}

#[test]
fn a_note_of_replaced_files_leads_to_no_other_files() {
    let dir = folder();
    let theirs = dir.path().join("theirs.txt");
    fs::write(&theirs, b"theirs").expect("written");
    let out = dir.path().join("out");
    fs::create_dir(&out).expect("made");
    fs::write(
        out.join(".replaced.json"),
        r#"["../theirs.txt", "../a-000000.tar"]"#,
    )
    .expect("written");
    fs::write(dir.path().join("a-000000.tar"), b"theirs").expect("written");
    two_splits(&out, OPTIONS).expect("the set is written");
    assert!(theirs.exists() && dir.path().join("a-000000.tar").exists());
    assert_eq!(names_of(&out), TWO_SPLITS);
}
