//! `shard-tool unpack`, of sets and of tars that mean no good.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use image::ImageFormat;

use crate::harness::{
    Outcome, cats_and_dogs, encoded, folder, index, jpeg, names_in, pack, put, shard_tool,
    tar_of as harness_tar, tree,
};
use crate::interop::{hex, webdataset_io};

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
        outcome.stderr.contains("the tar is damaged")
            && outcome
                .stderr
                .contains("offset 1536, last good member cat/1.jpg at offset 0"),
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
    assert_eq!(names_in(dir.path()), ["set", "src"], "nothing is left");
}

#[test]
fn a_set_without_labels_comes_back_as_images_alone() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    for number in 0..4 {
        put(at(&format!("src/{number}.v{number}.JPEG")), &jpeg(number));
    }
    pack(&at("src"), &at("set"), &[], 0);
    unpack(&at("set"), &at("again"), &[], 0);
    assert_eq!(paths(&at("again"))[1], "1.v1.jpg");
    pack(&at("again"), &at("set again"), &[], 0);
    assert_eq!(tree(&at("set")), tree(&at("set again")));
}

/// A set of flat keys that Python's `ShardWriter` wrote, with the labels 0 to 4.
fn written_by_python(dir: &Path) {
    fs::create_dir_all(dir).expect("made");
    let images: Vec<String> = (0..5).map(|number| hex(&jpeg(40 * number))).collect();
    webdataset_io("write_sharded", Some(dir), &images.join("\n"));
}

#[test]
fn flat_keys_of_an_indexed_set_go_into_the_folder_of_their_label() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    written_by_python(&at("set"));
    put(at("names.txt"), b"cat\ndog, hound\na/b\nowl\n100%");
    let names = at("names.txt").to_str().expect("UTF-8").to_owned();
    let pattern = "numbered-{000000..000002}.tar";
    index(&at("set"), pattern, &["--classes", &names], 0);
    unpack(&at("set"), &at("out"), &[], 0);
    let expected = [
        "train/100%/sample0004.jpg",
        "train/a%2Fb/sample0002.jpg",
        "train/cat/sample0000.jpg",
        "train/dog, hound/sample0001.jpg",
        "train/owl/sample0003.jpg",
    ];
    assert_eq!(paths(&at("out")), expected);
    assert_eq!(
        fs::read(at("out").join(expected[3])).expect("read"),
        jpeg(40)
    );
    pack(&at("out"), &at("packed"), &["--strict"], 0);
}

#[test]
fn folders_in_the_keys_of_an_indexed_set_do_not_hide_the_label() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    let tar = harness_tar(&[
        ("./images/1.jpg", &jpeg(1)),
        ("./images/1.cls", b"0"),
        ("1/2.jpg", &jpeg(2)),
        ("1/2.cls", b"1"),
        ("3.jpg", &jpeg(3)),
    ]);
    put(at("set/a.tar"), &tar);
    index(&at("set"), "a.tar", &[], 0);
    unpack(&at("set"), &at("out"), &[], 0);
    assert_eq!(
        paths(&at("out")),
        [
            "train/0/images/1.jpg",
            "train/1/2.jpg",
            "train/unlabelled/3.jpg"
        ]
    );
}

#[test]
fn out_may_be_an_empty_folder_and_what_a_killed_run_left_is_replaced() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    cats_and_dogs(&at("src"));
    pack(&at("src"), &at("set"), &[], 0);
    fs::create_dir(at("out")).expect("made");
    put(at(".out.partial/train/cat/9.jpg"), b"half an ima");
    let outcome = unpack(&at("set"), &at("out"), &[], 0);
    let told = "note: removed what a run that was killed had left in ";
    assert!(outcome.stderr.starts_with(told), "{outcome:#?}");
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:#?}");
    assert_eq!(paths(&at("out")).len(), 6);
    assert_eq!(names_in(dir.path()), ["out", "set", "src"]);
}

#[test]
fn the_current_folder_is_not_replaced() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    cats_and_dogs(&at("src"));
    pack(&at("src"), &at("set"), &[], 0);
    fs::create_dir(at("here")).expect("made");
    let output = Command::new(env!("CARGO_BIN_EXE_shard-tool"))
        .args(["unpack", "../set", "."])
        .current_dir(at("here"))
        .output();
    let outcome = Outcome::from(output.expect("shard-tool runs"));
    assert_eq!(outcome.code, 2, "{outcome:#?}");
    assert!(
        outcome
            .stderr
            .contains("the output folder is the current one"),
        "{outcome:#?}"
    );
}
