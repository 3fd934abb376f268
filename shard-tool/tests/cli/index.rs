//! `shard-tool index` on shards that someone else wrote.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use shard_format::{Fault, Manifest, ShardSet};

use crate::harness::{
    cats_and_dogs, folder, index, jpeg, keys_and_labels, names_in, pack, put, shard_tool, tar_of,
    tree,
};

fn two_shards(dir: &Path) {
    let (first, second) = (jpeg(1), jpeg(2));
    put(
        dir.join("in1k-00.tar"),
        &tar_of(&[
            ("a.jpg", &first),
            ("a.cls", b"3"),
            ("b.JPG", &second),
            ("b.cls", b"10"),
        ]),
    );
    put(
        dir.join("in1k-01.tar"),
        &tar_of(&[("d/c.json", br#"{"label": 0}"#), ("d/c.jpeg", &first)]),
    );
}

#[test]
fn shards_of_any_name_become_a_set_and_stay_as_they_are() {
    let dir = folder();
    two_shards(dir.path());
    let before = tree(dir.path());
    let outcome = index(dir.path(), "in1k-{00..01}.tar", &[], 0);
    assert!(
        outcome
            .stdout
            .starts_with("indexed 3 images (train 3), 11 classes, 2 shards,"),
        "{outcome:?}"
    );
    assert_eq!(
        names_in(dir.path()),
        [
            "in1k-00.idx",
            "in1k-00.tar",
            "in1k-01.idx",
            "in1k-01.tar",
            "manifest.json"
        ]
    );
    for (file, bytes) in before {
        assert_eq!(fs::read(dir.path().join(file)).expect("read"), bytes);
    }
    let expected = [("a", 3), ("b", 10), ("d/c", 0)];
    assert_eq!(
        keys_and_labels(dir.path(), "train"),
        expected.map(|(key, label)| (key.to_owned(), Some(label)))
    );
    let set = ShardSet::open(dir.path(), "train").expect("opens");
    assert_eq!(set.classes()[3], "03");
    assert_eq!(
        set.sample(1).expect("there").image().expect("there"),
        jpeg(2)
    );
}

#[test]
fn indexing_again_gives_the_same_bytes_and_asks_before_it_replaces() {
    let dir = folder();
    two_shards(dir.path());
    index(dir.path(), "in1k-{00..01}.tar", &[], 0);
    let before = tree(dir.path());
    let refused = index(dir.path(), "in1k-{00..01}.tar", &[], 2);
    assert!(refused.stderr.contains("--overwrite"), "{refused:?}");
    index(dir.path(), "in1k-{00..01}.tar", &["--overwrite"], 0);
    assert_eq!(tree(dir.path()), before);
    // As after a kill between the indexes and the manifest.
    fs::remove_file(dir.path().join("manifest.json")).expect("removed");
    index(dir.path(), "in1k-{00..01}.tar", &[], 0);
    assert_eq!(tree(dir.path()), before);
}

#[test]
fn splits_have_their_own_patterns_and_names_their_list() {
    let dir = folder();
    two_shards(dir.path());
    put(dir.path().join("names.txt"), b"cat\ndog\r\nfox\nelk\n");
    put(
        dir.path().join("val.tar"),
        &tar_of(&[("x.jpg", &jpeg(9)), ("x.cls", b"dog\n")]),
    );
    let split = |name: &str, file: &str| {
        OsString::from(format!("{name}=file:{}/{file}", dir.path().display()))
    };
    let names = dir.path().join("names.txt");
    let outcome = shard_tool(&[
        "index".into(),
        "--split".into(),
        split("train", "in1k-01.tar"),
        "--split".into(),
        split("val", "val.tar"),
        "--classes".into(),
        names.into_os_string(),
        "--json".into(),
    ]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let summary: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    assert_eq!(summary["splits"]["val"]["num_samples"], 1);
    assert_eq!(summary["num_classes"], 4);
    assert_eq!(
        keys_and_labels(dir.path(), "val"),
        [("x".to_owned(), Some(1))]
    );
    let manifest = Manifest::load(dir.path()).expect("loads");
    assert_eq!(manifest.classes, ["cat", "dog", "fox", "elk"]);
}

#[test]
fn what_is_no_sample_is_told_with_its_reason() {
    let dir = folder();
    let image = jpeg(1);
    let long = "k".repeat(70_000);
    let members: &[(&str, &[u8])] = &[
        ("__meta__/x.jpg", &image),
        ("README", b"hello"),
        ("text.txt", b"no image"),
        ("mask.seg.jpg", &image),
        ("fake.jpg", b"<html>404</html>"),
        ("fake.png", &image),
        ("half.jpg", &image[..10]),
        ("odd.jpg", &image),
        ("odd.cls", b"-1"),
        ("none.jpg", &image),
        (&format!("{long}.jpg"), &image),
        ("twice.jpg", &image),
        ("twice.JPG", b"other"),
        ("twice.cls", b"1"),
        ("odd.png", &image),
    ];
    put(dir.path().join("a.tar"), &tar_of(members));
    let outcome = index(dir.path(), "a.tar", &["--json"], 0);
    let keys: Vec<String> = keys_and_labels(dir.path(), "train")
        .into_iter()
        .map(|(key, label)| format!("{key} {label:?}"))
        .collect();
    assert_eq!(
        keys,
        [
            "fake None",
            "odd None",
            "none None",
            "twice Some(1)",
            "odd None"
        ]
    );
    let summary: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    assert_eq!(summary["num_unlabelled"], 4);
    for (reason, count) in [
        ("members without extension, which belong to no sample", 1),
        ("samples skipped: without image", 2),
        (
            "samples skipped: jpeg with an unusable header (the file ends before the frame header)",
            1,
        ),
        ("samples skipped: the key is longer than 65,535 bytes", 1),
        ("samples left unlabelled: the label is no class", 1),
        ("members twice in a sample, of which the first counts", 1),
        ("keys that occur again, each counted as a sample", 1),
    ] {
        assert_eq!(summary["warnings"][reason], count, "{outcome:#?}");
    }
    let offsets = "a.tar odd at offset ";
    assert!(outcome.stderr.contains(offsets), "{outcome:?}");
    assert!(
        outcome.stderr.contains(", and in a.tar at offset "),
        "{outcome:?}"
    );
}

#[test]
fn images_of_other_kinds_are_told_with_what_packs_them() {
    let dir = folder();
    let members: &[(&str, &[u8])] = &[
        ("a.jpg", &jpeg(1)),
        ("b.webp", b"RIFF\0\0\0\0WEBPVP8 "),
        ("c.PPM", b"P6\n1 1\n255\nabc"),
        ("d.tif", b"II*\0\x08\0\0\0"),
    ];
    put(dir.path().join("a.tar"), &tar_of(members));
    let outcome = index(dir.path(), "a.tar", &[], 0);
    let pack = "shard-tool pack --transcode packs it as a JPEG";
    let convert = "nothing here decodes it: convert it first";
    for (key, detected, help) in [
        ("b", "webp", pack),
        ("c", "pnm", pack),
        ("d", "tiff", convert),
    ] {
        let told = format!(
            "samples skipped: not a JPEG or PNG (detected: {detected}; {help}): 1\n    a.tar {key} at"
        );
        assert!(outcome.stderr.contains(&told), "{told}: {outcome:#?}");
    }
}

#[test]
fn tars_of_stock_tar_are_indexed_in_each_of_its_formats() {
    let dir = folder();
    let src = dir.path().join("src");
    let class = "d".repeat(90);
    for number in 0..3u8 {
        let sample = src.join(&class).join(format!("{number}{}", "x".repeat(30)));
        put(sample.with_extension("jpg"), &jpeg(number));
        put(sample.with_extension("cls"), number.to_string().as_bytes());
    }
    std::os::unix::fs::symlink("0.jpg", src.join("link.jpg")).expect("linked");
    for format in ["ustar", "gnu", "oldgnu", "posix"] {
        let mut tar = std::process::Command::new("tar");
        tar.arg(format!("--format={format}")).arg("--sort=name");
        tar.arg("-C")
            .arg(&src)
            .arg("-cf")
            .arg(dir.path().join("a.tar"))
            .arg(".");
        assert!(tar.status().expect("tar runs").success());
        let outcome = index(dir.path(), "a.tar", &["--overwrite"], 0);
        assert!(
            outcome
                .stderr
                .contains("pass over: 1\n    a.tar ./link.jpg\n"),
            "{outcome:?}"
        );
        let expected = (0..3).map(|number| {
            (
                format!("./{class}/{number}{}", "x".repeat(30)),
                Some(number),
            )
        });
        let found = keys_and_labels(dir.path(), "train");
        assert_eq!(found, expected.collect::<Vec<_>>(), "{format}");
    }
}

#[test]
fn wrong_usage_is_told_with_exit_code_2() {
    let dir = folder();
    two_shards(dir.path());
    put(
        dir.path().join("other/a.tar"),
        &tar_of(&[("a.jpg", &jpeg(1))]),
    );
    let stderr = |pattern: &str, code| index(dir.path(), pattern, &[], code).stderr;
    assert!(stderr("{in1k-00,other/a}.tar", 2).contains("lie in two folders"));
    assert!(stderr("in1k-{00,00}.tar", 2).contains("listed twice"));
    assert!(stderr("in1k-{00.tar", 2).contains("brace"));
    assert!(stderr("in1k-{0..99999999}.tar", 2).contains("1,000,000"));
    assert!(stderr("in1k-{00..07}.tar", 3).contains("is missing (6 of 8)"));
    let remote = shard_tool(&["index", "https://example.org/a-{0..9}.tar"]);
    assert_eq!(remote.code, 2);
    assert!(
        remote.stderr.contains("download the shards first"),
        "{remote:?}"
    );
    assert_eq!(shard_tool(&["index"]).code, 2);
    assert_eq!(shard_tool(&["index", "--split", "Train=a.tar"]).code, 2);
    assert!(
        shard_tool(&["index", "--help"])
            .stdout
            .contains("Examples:")
    );
    let few = dir.path().join("few.txt");
    put(&few, b"one\ntwo\n");
    let few = ["--classes", few.to_str().expect("UTF-8")];
    let beyond = index(dir.path(), "in1k-00.tar", &few, 3);
    assert!(
        beyond.stderr.contains("label 3 has no class, there are 2"),
        "{beyond:?}"
    );
    assert!(!dir.path().join("manifest.json").exists());
    assert!(!dir.path().join("in1k-00.idx").exists());
}

#[test]
fn a_packed_set_can_be_indexed_and_its_indexes_are_the_same() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src);
    pack(&src, &out, &[], 0);
    let mut packed = tree(&out);
    put(dir.path().join("names.txt"), b"cat\ndog\n");
    let names = dir.path().join("names.txt");
    let more = ["--overwrite", "--classes", names.to_str().expect("UTF-8")];
    index(&out, "train-{000000..000000}.tar", &more, 0);
    let mut indexed = tree(&out);
    let manifest = |files: &mut std::collections::BTreeMap<PathBuf, Vec<u8>>| {
        let text = files
            .remove(Path::new("manifest.json"))
            .expect("a manifest");
        let parsed = serde_json::from_slice(&text);
        let mut manifest: serde_json::Map<String, serde_json::Value> = parsed.expect("JSON");
        assert!(manifest.remove("checksum").is_some());
        manifest
    };
    let (was, mut is) = (manifest(&mut packed), manifest(&mut indexed));
    assert!(indexed == packed, "tar and index are the same");
    assert!(is.remove("indexed_in_place").is_some());
    assert_eq!(is, was);
}

#[test]
fn packing_does_not_remove_shards_that_were_only_indexed() {
    let dir = folder();
    two_shards(dir.path());
    index(dir.path(), "in1k-{00..01}.tar", &[], 0);
    let (src, before) = (folder(), tree(dir.path()));
    cats_and_dogs(src.path());
    let refused = pack(src.path(), dir.path(), &["--overwrite"], 2);
    assert!(refused.stderr.contains("are not removed"), "{refused:?}");
    assert!(tree(dir.path()) == before);
}

#[test]
fn a_shard_that_changed_its_size_is_refused_when_the_set_is_opened() {
    let dir = folder();
    two_shards(dir.path());
    index(dir.path(), "in1k-{00..01}.tar", &[], 0);
    put(dir.path().join("in1k-00.tar"), &tar_of(&[]));
    let error = ShardSet::open(dir.path(), "train").expect_err("refused");
    assert!(error.fault() == Fault::ShardCut, "{error}");
}

#[test]
fn a_summary_that_cannot_be_written_is_an_error_and_no_panic() {
    let dir = folder();
    put(dir.path().join("a.tar"), &tar_of(&[("a.jpg", &jpeg(1))]));
    let full = std::fs::File::options().write(true).open("/dev/full");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_shard-tool"));
    command.arg("index").arg(dir.path().join("a.tar"));
    let status = command.stdout(full.expect("opens")).status();
    assert_eq!(status.expect("runs").code(), Some(4));
}
