//! `shard-tool index` on tars that are broken.

use std::fs;
use std::path::Path;

use crate::harness::{folder, index, jpeg, keys_and_labels, names_in, put, tar_of};

/// Three labelled samples; each takes four blocks.
fn three_samples() -> Vec<u8> {
    let image = &jpeg(1)[..];
    let labels: [&[u8]; 3] = [b"0", b"1", b"2"];
    tar_of(&[
        ("a.jpg", image),
        ("a.cls", labels[0]),
        ("b.jpg", image),
        ("b.cls", labels[1]),
        ("c.jpg", image),
        ("c.cls", labels[2]),
    ])
}

fn put_shard(dir: &Path, tar: &[u8]) {
    put(dir.join("good.tar"), &three_samples());
    put(dir.join("bad.tar"), tar);
}

#[test]
fn a_cut_tar_is_refused_and_its_good_part_is_used_on_request() {
    let dir = folder();
    let whole = three_samples();
    let cut = whole.len() - 1024 - 1024 - 100;
    put_shard(dir.path(), &whole[..cut]);
    let outcome = index(dir.path(), "{good,bad}.tar", &[], 3);
    assert!(
        outcome
            .stderr
            .contains("error[3]: the tar is damaged: it is cut short"),
        "{outcome:?}"
    );
    assert!(outcome.stderr.contains("bad.tar at offset "), "{outcome:?}");
    assert!(
        outcome.stderr.contains("last good member c.jpg at offset "),
        "{outcome:?}"
    );
    assert_eq!(names_in(dir.path()), ["bad.tar", "good.tar"]);
    let outcome = index(dir.path(), "{good,bad}.tar", &["--allow-damaged"], 0);
    assert!(
        outcome
            .stderr
            .contains("warning: damaged shards, of which the part before the damage is used: 1"),
        "{outcome:?}"
    );
    assert_eq!(keys_and_labels(dir.path(), "train").len(), 5);
}

#[test]
fn a_sample_whose_label_was_cut_off_is_left_out() {
    let dir = folder();
    let whole = three_samples();
    let before_the_last_label = whole.len() - 1024 - 1024;
    put_shard(dir.path(), &whole[..before_the_last_label]);
    index(dir.path(), "bad.tar", &["--allow-damaged"], 0);
    let keys = keys_and_labels(dir.path(), "train");
    assert_eq!(keys.last(), Some(&("b".to_owned(), Some(1))));
    put_shard(dir.path(), &whole[..whole.len() - 1024]);
    index(
        dir.path(),
        "bad.tar",
        &["--allow-damaged", "--overwrite"],
        0,
    );
    assert_eq!(keys_and_labels(dir.path(), "train").len(), 3);
}

#[test]
fn a_header_with_a_wrong_checksum_is_named_by_its_offset() {
    let dir = folder();
    let mut tar = three_samples();
    let at = tar.len() / 2 / 512 * 512;
    let header = (at..)
        .step_by(512)
        .find(|at| &tar[at + 257..at + 262] == b"ustar")
        .expect("a header");
    tar[header + 3] ^= 1;
    put_shard(dir.path(), &tar);
    let outcome = index(dir.path(), "bad.tar", &[], 3);
    let expected = format!(
        "the checksum of a header differs; {}/bad.tar at offset {header}, last good member",
        dir.path().display()
    );
    assert!(outcome.stderr.contains(&expected), "{outcome:?}");
}

#[test]
fn what_is_no_tar_is_told_apart() {
    let dir = folder();
    let stderr = |bytes: &[u8], more: &[&str]| {
        put_shard(dir.path(), bytes);
        index(dir.path(), "bad.tar", more, 3).stderr
    };
    assert!(stderr(b"", &[]).contains("cut short"));
    assert!(stderr(b"\x1f\x8b\x08\0\0", &[]).contains("it is compressed"));
    assert!(stderr(b"\x1f\x8b\x08\0\0", &["--allow-damaged"]).contains("decompress it first"));
    assert!(stderr(b"", &["--allow-damaged"]).contains("no sample with a JPEG or PNG image"));
    assert!(stderr(&tar_of(&[]), &[]).contains("no sample with a JPEG or PNG image"));
    assert!(stderr(&[b'x'; 5_000], &[]).contains("the checksum of a header differs"));
    assert_eq!(names_in(dir.path()), ["bad.tar", "good.tar"]);
}

#[test]
fn bytes_after_the_end_are_told() {
    let dir = folder();
    put_shard(dir.path(), &[three_samples(), three_samples()].concat());
    let outcome = index(dir.path(), "bad.tar", &[], 0);
    assert!(
        outcome.stderr.contains("bytes after the end marker"),
        "{outcome:?}"
    );
    assert_eq!(keys_and_labels(dir.path(), "train").len(), 3);
}

#[test]
fn a_name_that_is_not_utf8_is_told_with_its_offset() {
    let dir = folder();
    let mut tar = three_samples();
    let header = header_of(&tar, b"b.jpg");
    tar[header..header + 5].copy_from_slice(b"\xff.jpg");
    let sum: u32 = (0..512)
        .filter(|at| !(148..156).contains(at))
        .map(|at| u32::from(tar[header + at]))
        .sum();
    tar[header + 148..header + 156].copy_from_slice(format!("{:06o}\0 ", sum + 256).as_bytes());
    put_shard(dir.path(), &tar);
    let outcome = index(dir.path(), "bad.tar", &[], 3);
    let expected = format!(
        "the name of a member is not UTF-8; {}/bad.tar at offset {header}: \\xff.jpg;",
        dir.path().display()
    );
    assert!(outcome.stderr.contains(&expected), "{outcome:?}");
    assert!(fs::metadata(dir.path().join("manifest.json")).is_err());
}

fn header_of(tar: &[u8], name: &[u8]) -> usize {
    (0..tar.len())
        .step_by(512)
        .find(|at| tar[*at..].starts_with(name))
        .expect("a header")
}
