//! `shard-tool split`.

use std::ffi::OsStr;
use std::path::Path;

use shard_format::ShardSet;

use crate::harness::{Outcome, folder, index, jpeg, pack, put, shard_tool, tar_of, tree};
use crate::interop::{hex, webdataset_io};

fn split(set: &Path, out: &Path, more: &[&str], code: i32) -> Outcome {
    let mut arguments = vec![OsStr::new("split"), set.as_os_str()];
    arguments.extend([OsStr::new("--out"), out.as_os_str()]);
    arguments.extend(more.iter().map(|argument| OsStr::new(*argument)));
    let outcome = shard_tool(&arguments);
    assert_eq!(outcome.code, code, "{outcome:#?}");
    outcome
}

/// Twenty cats and ten dogs.
fn source(src: &Path) {
    for (class, count) in [("cat", 20), ("dog", 10)] {
        (0..count)
            .for_each(|number| put(src.join(format!("{class}/{number}.JPEG")), &jpeg(number)));
    }
}

fn keys(set: &Path, split: &str) -> Vec<String> {
    let set = ShardSet::open(set, split).expect("the set opens");
    let keys = set
        .samples()
        .map(|sample| sample.expect("a sample").key.to_owned());
    keys.collect()
}

#[test]
fn a_part_of_each_class_becomes_val() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    source(&at("src"));
    pack(&at("src"), &at("set"), &[], 0);
    let told = split(&at("set"), &at("out"), &["--val-fraction", "0.2"], 0).stdout;
    assert!(told.starts_with("packed 30 images (train 24, val 6), 2 classes"));
    let val = keys(&at("out"), "val");
    let of_class = |class: &str| val.iter().filter(|key| key.starts_with(class)).count();
    assert_eq!((of_class("cat/"), of_class("dog/")), (4, 2));
    let train = keys(&at("out"), "train");
    assert!(train.iter().all(|key| !val.contains(key)));
    let verified = shard_tool(&[OsStr::new("verify"), at("out").as_os_str()]);
    assert!(verified.stdout.contains("in 2 shards"), "{verified:#?}");
}

#[test]
fn splitting_a_set_gives_what_packing_with_a_fraction_gives() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    source(&at("src"));
    pack(&at("src"), &at("set"), &["--seed", "1"], 0);
    let chosen = ["--val-fraction", "0.25", "--seed", "9"];
    split(&at("set"), &at("split"), &chosen, 0);
    pack(&at("src"), &at("packed"), &chosen, 0);
    assert_eq!(tree(&at("split")), tree(&at("packed")));
    split(&at("set"), &at("other"), &["--val-fraction", "0.25"], 0);
    assert_ne!(keys(&at("split"), "val"), keys(&at("other"), "val"));
}

#[test]
fn other_splits_are_left_out_with_a_warning() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    source(&at("src/train"));
    put(at("src/val/cat/99.JPEG"), &jpeg(99));
    pack(&at("src"), &at("set"), &[], 0);
    let options = ["--val-fraction", "0.1", "--json"];
    let outcome = split(&at("set"), &at("out"), &options, 0);
    assert!(
        outcome
            .stderr
            .contains("warning: split `val` of the old set")
    );
    let manifest: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    assert_eq!(manifest["splits"]["val"]["num_samples"], 3);
    assert!(!keys(&at("out"), "val").contains(&"cat/99".to_owned()));
}

#[test]
fn wrong_usage_of_split_is_told_with_exit_code_2() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    source(&at("src"));
    pack(&at("src"), &at("set"), &[], 0);
    let before = tree(&at("set"));
    split(&at("set"), &at("out"), &[], 2);
    split(&at("set"), &at("out"), &["--val-fraction", "2"], 2);
    let onto_itself = ["--val-fraction", "0.2", "--overwrite"];
    split(&at("set"), &at("set"), &onto_itself, 2);
    assert_eq!(tree(&at("set")), before);
    let fraction = ["--val-fraction", "0.2"];
    split(&at("set"), &at("out"), &fraction, 0);
    split(&at("set"), &at("out"), &fraction, 2);
    split(&at("nowhere"), &at("out"), &fraction, 3);
}

#[test]
fn flat_keys_of_an_indexed_set_get_the_class_of_their_label() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    std::fs::create_dir_all(at("set")).expect("made");
    let images: Vec<String> = (0..5).map(|number| hex(&jpeg(40 * number))).collect();
    webdataset_io("write_sharded", Some(&at("set")), &images.join("\n"));
    index(&at("set"), "numbered-{000000..000002}.tar", &[], 0);
    split(&at("set"), &at("out"), &["--val-fraction", "0.2"], 0);
    let mut all = keys(&at("out"), "train");
    all.sort();
    let expected: Vec<String> = (0..5).map(|n| format!("{n}/sample000{n}")).collect();
    assert_eq!(all, expected, "one image of a class stays in train");
    let set = ShardSet::open(&at("out"), "train").expect("opens");
    let is_as_before = |sample: shard_format::Sample<'_>| {
        let label = sample.label.expect("a label");
        sample.key.starts_with(&format!("{label}/"))
            && sample.image().expect("is there") == jpeg(40 * label as u8)
    };
    assert!(set.samples().flatten().all(is_as_before));
    let verified = shard_tool(&[OsStr::new("verify"), at("out").as_os_str()]);
    assert_eq!(verified.code, 0, "{verified:#?}");
}

#[test]
fn a_key_that_would_be_there_twice_is_refused() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    for (number, tone) in [(0, 1), (1, 2)] {
        let tar = tar_of(&[("0001.jpg", &jpeg(tone)), ("0001.cls", b"0")]);
        put(at(&format!("set/a-{number}.tar")), &tar);
    }
    index(&at("set"), "a-{0..1}.tar", &[], 0);
    let refused = split(&at("set"), &at("out"), &["--val-fraction", "0.2"], 3);
    assert!(
        refused
            .stderr
            .contains("two samples would get the key `0/0001`"),
        "{refused:#?}"
    );
    assert!(!at("out").exists());
}
