//! `shard-tool unpack`, of sets and of tars that mean no good.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use image::ImageFormat;

use crate::harness::{
    Outcome, cats_and_dogs, encoded, folder, jpeg, names_in, pack, put, shard_tool, tree,
};

fn unpack(from: &Path, out: &Path, more: &[&str], code: i32) -> Outcome {
    let mut arguments = vec![OsStr::new("unpack"), from.as_os_str(), out.as_os_str()];
    arguments.extend(more.iter().map(|argument| OsStr::new(*argument)));
    let outcome = shard_tool(&arguments);
    assert_eq!(outcome.code, code, "{outcome:#?}");
    outcome
}

fn paths(dir: &Path) -> Vec<String> {
    let path = |path: &PathBuf| path.to_str().expect("UTF-8").to_owned();
    tree(dir).keys().map(path).collect()
}

/// A tar of one file for each of these names, which are written as they are.
fn tar_of(path: &Path, files: &[(&str, &[u8])]) {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().expect("GNU").name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, *content).expect("appended");
    }
    put(path, &builder.into_inner().expect("ended"));
}

/// A tar with a good image and then a member of this type.
fn tar_with(path: &Path, kind: tar::EntryType) {
    let mut builder = tar::Builder::new(Vec::new());
    let image = jpeg(1);
    let mut header = tar::Header::new_gnu();
    header.set_size(image.len() as u64);
    builder
        .append_data(&mut header, "cat/1.jpg", image.as_slice())
        .expect("appended");
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(0);
    builder
        .append_link(&mut header, "cat/2.jpg", "/etc/passwd")
        .expect("appended");
    put(path, &builder.into_inner().expect("ended"));
}

#[test]
fn packing_what_was_unpacked_gives_the_same_shards() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    cats_and_dogs(&at("src/train"));
    put(at("src/train/v1.2 cats/img.final.v2.jpg"), &jpeg(11));
    put(at("src/train/v1.2 cats/a.jpg"), &jpeg(12));
    put(at("src/train/v1.2 cats/a.JPEG"), &jpeg(13));
    put(at("src/train/v1.2 cats/sub/a.jpg"), &jpeg(14));
    put(at("src/train/__x__/100%25.jpeg"), &jpeg(15));
    put(at("src/train/cat/n\n.JPEG"), &encoded(16, ImageFormat::Png));
    put(
        at(&format!("src/train/dog/{}.jpg", "l".repeat(200))),
        &jpeg(17),
    );
    let odd = at("src/val").join(OsStr::from_bytes(b"caf\xe9"));
    put(odd.join(OsStr::from_bytes(b"\xff.jpg")), &jpeg(18));
    pack(&at("src"), &at("set"), &["--seed", "3"], 0);
    let told = unpack(&at("set"), &at("again"), &[], 0).stdout;
    assert!(told.starts_with("unpacked 14 images, "), "{told}");
    pack(&at("again"), &at("set again"), &["--seed", "3"], 0);
    assert_eq!(tree(&at("set")), tree(&at("set again")));
    let content = |name: &str| fs::read(at("again/train").join(name)).expect("read");
    assert_eq!(content("v1.2 cats/img.final.v2.jpg"), jpeg(11));
    assert_eq!(content("v1.2 cats/a.JPEG.jpg"), jpeg(13));
    assert_eq!(content("cat/n\n.png"), encoded(16, ImageFormat::Png));
}

#[test]
fn a_shard_alone_is_unpacked_into_the_split_of_its_name() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    cats_and_dogs(&at("src/train"));
    put(at("src/val/dog/7.JPEG"), &jpeg(200));
    pack(&at("src"), &at("set"), &[], 0);
    unpack(&at("set/val-000000.tar"), &at("one"), &[], 0);
    assert_eq!(paths(&at("one")), ["val/dog/7.jpg"]);
    unpack(&at("set"), &at("two"), &["--split", "val"], 0);
    assert_eq!(tree(&at("one")), tree(&at("two")));
    let shard = at("set/val-000000.tar");
    unpack(&shard, &at("three"), &["--split", "test"], 0);
    assert_eq!(paths(&at("three")), ["test/dog/7.jpg"]);
}

#[test]
fn a_foreign_tar_gives_its_images_and_a_count_of_the_rest() {
    let dir = folder();
    let (tar, out) = (dir.path().join("images.tar"), dir.path().join("out"));
    let png = encoded(3, ImageFormat::Png);
    let files: [(&str, &[u8]); 6] = [
        ("./cat/a.b.JPEG", &jpeg(1)),
        ("cat/notes.txt", b"text"),
        ("0001.jpg", &jpeg(2)),
        ("0001.cls", b"17"),
        ("plain", &png),
        ("deep/er/c.jpeg", &jpeg(4)),
    ];
    tar_of(&tar, &files);
    let outcome = unpack(&tar, &out, &["--json"], 0);
    assert!(
        outcome
            .stderr
            .contains("1 member left out, neither JPEG nor PNG")
    );
    assert!(outcome.stdout.contains("\"num_images\":4"), "{outcome:?}");
    assert_eq!(
        paths(&out),
        [
            "train/17/0001.jpg",
            "train/cat/a.b.jpg",
            "train/deep/er/c.jpg",
            "train/unlabelled/plain.png"
        ]
    );
}

#[test]
fn paths_that_lead_elsewhere_are_refused_and_nothing_is_written() {
    for (name, problem) in [
        ("/tmp/evil.jpg", "its path is absolute"),
        ("../evil.jpg", "its path has `..`"),
        ("cat/../../evil.jpg", "its path has `..`"),
        ("cat/..", "its path has `..`"),
        ("cat//evil.jpg", "its path has an empty part"),
    ] {
        let dir = folder();
        let (tar, out) = (dir.path().join("evil.tar"), dir.path().join("in/out"));
        tar_of(&tar, &[("cat/1.jpg", &jpeg(1)), (name, &jpeg(2))]);
        let outcome = unpack(&tar, &out, &[], 3);
        let told = format!("error[3]: a member is refused: `{name}`: {problem}");
        assert!(outcome.stderr.contains(&told), "{outcome:#?}");
        assert!(
            outcome.stderr.contains("evil.tar offset 1536"),
            "{outcome:#?}"
        );
        assert_eq!(names_in(dir.path()), ["evil.tar"]);
    }
}

#[test]
fn links_and_devices_are_refused_and_nothing_is_written() {
    for (kind, problem) in [
        (tar::EntryType::Symlink, "symbolic link"),
        (tar::EntryType::Link, "hard link"),
        (tar::EntryType::Char, "device"),
        (tar::EntryType::Block, "device"),
        (tar::EntryType::Fifo, "pipe"),
    ] {
        let dir = folder();
        let (tar, out) = (dir.path().join("evil.tar"), dir.path().join("out"));
        tar_with(&tar, kind);
        let outcome = unpack(&tar, &out, &[], 3);
        let told = format!("a member is refused: `cat/2.jpg`: {problem}");
        assert!(outcome.stderr.contains(&told), "{outcome:#?}");
        assert!(!out.exists());
    }
}

#[test]
fn escapes_that_would_lead_elsewhere_stay_escaped() {
    let dir = folder();
    let (tar, out) = (dir.path().join("evil.tar"), dir.path().join("out"));
    let image = jpeg(1);
    tar_of(
        &tar,
        &[
            ("%2E%2E/a.jpg", &image),
            ("cat/%2E%2E%2F%2E%2E%2Fb.jpg", &image),
        ],
    );
    unpack(&tar, &out, &[], 0);
    assert_eq!(names_in(dir.path()), ["evil.tar", "out"]);
    assert_eq!(
        paths(&out),
        ["train/%2E%2E/a.jpg", "train/cat/%2E%2E%2F%2E%2E%2Fb.jpg"]
    );
}

#[test]
fn two_members_of_one_name_and_a_cut_tar_are_refused() {
    let dir = folder();
    let (tar, out) = (dir.path().join("odd.tar"), dir.path().join("out"));
    tar_of(&tar, &[("cat/1.jpg", &jpeg(1)), ("cat/1.jpeg", &jpeg(2))]);
    let outcome = unpack(&tar, &out, &[], 3);
    assert!(outcome.stderr.contains("would become the same file"));
    let whole = fs::read(&tar).expect("read");
    put(&tar, &whole[..1600]);
    let outcome = unpack(&tar, &out, &[], 3);
    assert!(
        outcome.stderr.contains("the tar is damaged") && outcome.stderr.contains("offset 1536"),
        "{outcome:#?}"
    );
    assert!(!out.exists());
}

#[test]
fn wrong_usage_of_unpack_is_told_with_exit_code_2() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    cats_and_dogs(&at("src"));
    pack(&at("src"), &at("set"), &[], 0);
    let full = unpack(&at("set"), &at("src"), &[], 2);
    assert!(full.stderr.contains("the output folder is not empty"));
    unpack(&at("set"), &at("out"), &["--split", "../x"], 2);
    unpack(&at("set"), &at("out"), &["--split", "val"], 3);
    unpack(&at("nowhere"), &at("out"), &[], 3);
}

#[test]
fn a_damaged_image_of_a_set_is_not_written_as_if_it_were_whole() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    cats_and_dogs(&at("src"));
    pack(&at("src"), &at("set"), &[], 0);
    let shard = at("set/train-000000.tar");
    let mut bytes = fs::read(&shard).expect("read");
    bytes[700] ^= 1;
    fs::remove_file(&shard).expect("removed");
    put(&shard, &bytes);
    let outcome = unpack(&at("set"), &at("out"), &[], 3);
    assert!(
        outcome.stderr.contains("the image bytes are damaged"),
        "{outcome:#?}"
    );
}
