//! Sets that were made of other people's tars by `shard-tool index`.

use std::fs;
use std::path::Path;

use serde_json::json;
use shard_format::ShardSet;

use super::{assert_defects, assert_repairable, edit, offset, report, verify};
use crate::harness::{folder, index, jpeg, put, tar_of, tree};
use crate::interop::{hex, webdataset_io};

const SHARD: &str = "set-00.tar";

/// Shards as Python's `TarWriter` orders them, which is by extension, with labels and extensions of all sorts.
fn written_by_python(dir: &Path) {
    let fields = [
        ("jpg", "cls", "0"),
        ("jpeg", "cls", "001\n"),
        ("JPG", "cls", "0"),
        ("jpg", "json", r#"{"label": 1}"#),
        ("jpeg", "json", r#"{"cls": "0"}"#),
        ("jpg", "txt", "a caption"),
    ];
    let mut lines = Vec::new();
    for (shard, format) in [("set-00.tar", "gnu"), ("set-01.tar", "pax")] {
        for (number, (extension, field, content)) in fields.iter().enumerate() {
            let image = hex(&jpeg(20 * lines.len() as u8));
            let fields = json!({*extension: image, *field: hex(content.as_bytes())});
            let key = format!("{format}{}{number:04}", "/k".repeat(60 * (number % 2)));
            let line = json!({"shard": shard, "format": format, "key": key, "fields": fields});
            lines.push(line.to_string());
        }
    }
    webdataset_io("write", Some(dir), &lines.join("\n"));
    index(dir, "set-{00..01}.tar", &[], 0);
}

/// Four samples of all orders in one shard, and members that are no image.
fn indexed() -> tempfile::TempDir {
    let dir = folder();
    let images: Vec<Vec<u8>> = (0..4).map(|number| jpeg(20 * number)).collect();
    let tar = tar_of(&[
        ("README", b"text"),
        ("a/0.cls", b"0"),
        ("a/0.jpg", &images[0]),
        ("b.jpeg", &images[1]),
        ("b.json", br#"{"label": 1}"#),
        ("lonely.cls", b"1"),
        ("c.PNG", &images[2]),
        ("d.cls", b"007\n"),
        ("d.txt", b"a caption"),
        ("d.jpg", &images[3]),
    ]);
    put(dir.path().join(SHARD), &tar);
    index(dir.path(), SHARD, &[], 0);
    dir
}

#[test]
fn shards_that_python_wrote_are_sound_and_a_flipped_byte_is_all_that_is_found() {
    let dir = folder();
    written_by_python(dir.path());
    let sound = report(dir.path(), &["--decode"], 0);
    assert_eq!(
        (&sound["num_images"], &sound["notes"]),
        (&12.into(), &json!([]))
    );
    let set = ShardSet::open(dir.path(), "train").expect("opens");
    let sample = set.sample(7).expect("a sample");
    let (shard, key, at) = (
        sample.shard.to_owned(),
        sample.key.to_owned(),
        sample.offset,
    );
    drop(set);
    edit(dir.path().join(&shard), |bytes| {
        bytes[at as usize + 300] ^= 1
    });
    let bytes = format!("bytes {shard} {key}: the image bytes are damaged");
    let digest = format!("digest {shard} -: bytes have changed");
    assert_defects(dir.path(), &[], &[&bytes, &digest]);
    assert_repairable(dir.path(), 11);
    let left = ShardSet::open(dir.path(), "train").expect("opens");
    assert!(left.samples().flatten().all(|sample| sample.key != key));
}

#[test]
fn any_order_and_extension_of_members_is_sound() {
    let dir = indexed();
    let report = report(dir.path(), &["--decode"], 0);
    assert_eq!(report["num_images"], 4);
    assert_eq!(
        report["notes"],
        json!([
            "set-00.tar: 2 members of the tar are not in the index, and so not part of the set"
        ])
    );
}

#[test]
fn a_tar_that_was_touched_is_refused_by_readers_until_its_new_time_is_noted() {
    let dir = indexed();
    let tar = fs::File::options().write(true).open(dir.path().join(SHARD));
    let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1);
    tar.unwrap().set_modified(long_ago).unwrap();
    assert!(ShardSet::open(dir.path(), "train").is_err());
    let told = format!("time {SHARD} -: it was written to");
    assert_defects(dir.path(), &[], &[&told]);
    assert_repairable(dir.path(), 4);
    assert!(ShardSet::open(dir.path(), "train").is_ok());
}

#[test]
fn an_index_of_use_no_more_is_left_to_its_owner() {
    let dir = indexed();
    let path = dir.path().join("set-00.idx");
    edit(path.clone(), |bytes| bytes[100] ^= 1);
    let again = format!(
        "index the set again: shard-tool index --again '{}'",
        dir.path().display()
    );
    let told =
        format!("index set-00.idx -: the body of the index is damaged (checksum differs): {again}");
    assert_defects(dir.path(), &[], &[&told]);
    let before = tree(dir.path());
    let refused = verify(dir.path(), &["--repair"], 3).stderr;
    assert!(
        refused.contains("the set cannot be repaired: set-00.idx is of no use; "),
        "{refused}"
    );
    assert!(refused.contains(&again), "{refused}");
    assert_eq!(tree(dir.path()), before);
    fs::remove_file(path).expect("removed");
    assert_defects(
        dir.path(),
        &[],
        &["file set-00.idx -: a file of the set is missing: index the set again"],
    );
    index(dir.path(), SHARD, &["--overwrite"], 0);
    verify(dir.path(), &[], 0);
}

#[test]
fn an_image_that_has_another_key_now_is_told() {
    let dir = indexed();
    let header = offset(dir.path(), "b") - 512;
    edit(dir.path().join(SHARD), |bytes| {
        let mut changed = tar::Header::new_gnu();
        changed
            .as_mut_bytes()
            .copy_from_slice(&bytes[header..header + 512]);
        changed.set_path("x.jpeg").expect("a name");
        changed.set_cksum();
        bytes[header..header + 512].copy_from_slice(changed.as_bytes());
    });
    assert_defects(
        dir.path(),
        &[],
        &[
            "digest set-00.tar -",
            "member set-00.tar b: the tar calls this member `x.jpeg`",
        ],
    );
    assert_repairable(dir.path(), 3);
}

#[test]
fn a_key_that_occurs_again_is_noted_with_both_places_and_no_defect() {
    let dir = folder();
    for (number, tone) in [(0, 1), (1, 2)] {
        let tar = tar_of(&[("0001.jpg", &jpeg(tone)), ("0001.cls", b"0")]);
        put(dir.path().join(format!("set-0{number}.tar")), &tar);
    }
    index(dir.path(), "set-{00..01}.tar", &[], 0);
    let told = verify(dir.path(), &[], 0).stdout;
    assert!(
        told.contains(
            "note: keys of train that occur again, each a sample of its own: 1; set-01.tar 0001 offset 512, \
             first set-00.tar 0001 offset 512"
        ),
        "{told}"
    );
}
