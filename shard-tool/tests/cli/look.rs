//! `shard-tool list`, `stat` and `cat`.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::{Outcome, cats_and_dogs, folder, jpeg, pack, put, shard_tool};

/// A set with three cats and three dogs in train and a dog in val.
fn packed(dir: &Path) -> String {
    let (src, out) = (dir.join("src"), dir.join("out"));
    cats_and_dogs(&src.join("train"));
    put(src.join("val/dog/7.JPEG"), &jpeg(200));
    pack(&src, &out, &[], 0);
    out.to_str().expect("UTF-8").to_owned()
}

fn run(arguments: &[&str], code: i32) -> Outcome {
    let outcome = shard_tool(arguments);
    assert_eq!(outcome.code, code, "{outcome:#?}");
    outcome
}

fn json(line: &str) -> serde_json::Value {
    serde_json::from_str(line).expect("JSON")
}

#[test]
fn a_list_has_a_line_for_every_sample() {
    let dir = folder();
    let set = packed(dir.path());
    let listed = run(&["list", &set], 0).stdout;
    assert_eq!(listed.lines().count(), 7);
    let val = run(&["list", &set, "--split", "val"], 0).stdout;
    let size = jpeg(200).len();
    assert_eq!(
        val,
        format!("dog/7\t1\tdog\tjpeg-baseline\tycbcr\t12x8\t{size}\tval-000000.tar\t512\n")
    );
    let unknown = run(&["list", &set, "--split", "test"], 3);
    assert!(unknown.stderr.contains("it has: train, val"), "{unknown:?}");
}

#[test]
fn a_list_for_machines_has_an_object_on_each_line() {
    let dir = folder();
    let set = packed(dir.path());
    let listed = run(&["list", &set, "--json", "--split", "val"], 0).stdout;
    let line = json(&listed);
    assert_eq!(
        (&line["key"], &line["class"]),
        (&"dog/7".into(), &"dog".into())
    );
    assert_eq!(
        (&line["label"], &line["width"], &line["crc32"]),
        (&1.into(), &12.into(), &crc32fast::hash(&jpeg(200)).into())
    );
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let dir = folder();
    let set = packed(dir.path());
    let script = format!(
        "set -o pipefail; {} list {set} | true",
        env!("CARGO_BIN_EXE_shard-tool")
    );
    let outcome: Outcome = Command::new("bash")
        .args(["-c", &script])
        .output()
        .expect("bash runs")
        .into();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
}

#[test]
fn statistics_count_by_split_and_class() {
    let dir = folder();
    let set = packed(dir.path());
    let stat = json(&run(&["stat", &set, "--json"], 0).stdout);
    let train = &stat["splits"]["train"];
    assert_eq!(train["num_images"], 6);
    assert_eq!(train["classes"], serde_json::json!({"cat": 3, "dog": 3}));
    assert_eq!(
        train["width"],
        serde_json::json!({"min": 12, "median": 12, "max": 12})
    );
    let text = run(&["stat", &set, "--top", "1"], 0).stdout;
    assert!(text.contains("train: 6 images"), "{text}");
    assert!(text.contains("and 1 more, the smallest of 3"), "{text}");
}

#[test]
fn the_bytes_of_an_image_come_as_they_were_packed() {
    let dir = folder();
    let set = packed(dir.path());
    let shard = format!("{set}/val-000000.tar");
    for arguments in [
        ["cat", &set, "dog/7"],
        ["cat", &shard, "dog/7"],
        ["cat", &shard, "dog/7.jpg"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_shard-tool"))
            .args(arguments)
            .output()
            .expect("shard-tool runs");
        assert!(output.stdout == jpeg(200), "{arguments:?}");
    }
    assert_eq!(run(&["cat", &shard, "dog/7.cls"], 0).stdout, "1");
}

#[test]
fn what_is_known_of_an_image_comes_as_an_object_without_its_bytes() {
    let dir = folder();
    let set = packed(dir.path());
    let listed = run(&["list", &set, "--json", "--split", "val"], 0).stdout;
    assert_eq!(run(&["cat", &set, "dog/7", "--json"], 0).stdout, listed);
    let shard = format!("{set}/val-000000.tar");
    let member = json(&run(&["cat", &shard, "dog/7", "--json"], 0).stdout);
    let expected = serde_json::json!({
        "shard": shard, "name": "dog/7.jpg", "offset": 512, "bytes": jpeg(200).len(),
        "crc32": crc32fast::hash(&jpeg(200)),
        "kind": "jpeg-baseline", "colour": "ycbcr", "bits": 8, "width": 12, "height": 8,
    });
    assert_eq!(member, expected);
    let label = json(&run(&["cat", &shard, "dog/7.cls", "--json"], 0).stdout);
    assert_eq!(
        (&label["bytes"], &label["kind"]),
        (&1.into(), &serde_json::Value::Null)
    );
    let unknown = run(&["cat", &set, "dog/8", "--json"], 3);
    assert_eq!(unknown.stdout, "");
}

#[test]
fn an_unknown_key_is_told_with_the_command_that_finds_it() {
    let dir = folder();
    let set = packed(dir.path());
    let shard = format!("{set}/val-000000.tar");
    for (place, key, told) in [
        (&set, "dog/8", format!("shard-tool list {set} | grep '8'")),
        (
            &set,
            "x/7.JPEG",
            format!("shard-tool list {set} | grep '7'"),
        ),
        (&shard, "dog/8", format!("tar tf {shard} | grep '8'")),
    ] {
        let outcome = run(&["cat", place, key], 3);
        assert!(outcome.stderr.starts_with("error[3]: there is no sample"));
        assert!(outcome.stderr.contains(&told), "{outcome:?}");
    }
}

#[test]
fn what_is_neither_a_set_nor_a_tar_is_told() {
    let dir = folder();
    let text = dir.path().join("notes.txt");
    fs::write(&text, "not\na\ntar\n".repeat(100)).expect("written");
    let outcome = run(&["cat", text.to_str().expect("UTF-8"), "a/b"], 3);
    assert!(outcome.stderr.contains("this is no tar"), "{outcome:?}");
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
    run(&["cat", "/nonexistent", "a/b"], 3);
    run(&["list"], 2);
}
