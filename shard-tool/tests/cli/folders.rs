//! Folders as sources: what counts as a class, a split, a download, and what is left out.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use shard_format::Manifest;

use crate::harness::{
    Outcome, cats_and_dogs, classes_and_keys, folder, jpeg, labelled, pack, put, samples, tar_of,
    tree,
};

#[test]
fn images_without_folders_are_packed_without_labels() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    (0..3).for_each(|number| put(src.join(format!("{number}.JPEG")), &jpeg(number)));
    let outcome = pack(&src, &out, &[], 0);
    assert!(
        outcome.stderr.contains("3 files without labels"),
        "{outcome:?}"
    );
    let manifest = Manifest::load(&out).expect("loads");
    assert_eq!(
        (
            manifest.classes.len(),
            manifest.splits["train"].num_unlabelled
        ),
        (0, 3)
    );
    assert!(
        samples(&out, "train")
            .iter()
            .all(|(class, _, _)| class.is_none())
    );
}

fn assert_skipped(outcome: &Outcome, number: u64, reason: &str) {
    let files = if number == 1 { "file" } else { "files" };
    let line = format!("warning: {number} {files} skipped: {reason}\n");
    assert!(outcome.stderr.contains(&line), "{line}: {outcome:#?}");
}

fn old_tar(dir: &Path) {
    let member = ("bird/x.JPEG", &jpeg(7)[..]);
    put(dir.join("old.tar"), &tar_of(&[member]));
}

#[test]
fn images_beside_an_archive_are_packed_and_the_archive_is_reported() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    (0..3).for_each(|number| put(src.join(format!("{number}.JPEG")), &jpeg(number)));
    old_tar(&src);
    let outcome = pack(&src, &out, &[], 0);
    assert_eq!(classes_and_keys(&out, "train").len(), 3);
    assert_skipped(&outcome, 1, "not a JPEG or PNG (detected: tar)");
}

#[test]
fn class_folders_beside_an_archive_are_packed_and_the_archive_is_reported() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src);
    old_tar(&src);
    let outcome = pack(&src, &out, &[], 0);
    assert_eq!(classes_and_keys(&out, "train").len(), 6);
    assert_skipped(&outcome, 1, "not in a class folder");
}

#[test]
fn hidden_folders_and_notes_leave_a_folder_one_of_archives() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    old_tar(&src);
    put(src.join(".cache/x"), b"x");
    put(src.join("notes.txt"), b"x");
    let outcome = pack(&src, &out, &[], 0);
    assert_eq!(
        classes_and_keys(&out, "train"),
        labelled(&[("bird", "bird/x")])
    );
    assert_skipped(&outcome, 1, "hidden (the name starts with a dot)");
    assert_skipped(
        &outcome,
        1,
        "beside archives, and neither a .tar nor the devkit",
    );
    pack(&src, &dir.path().join("strict"), &["--strict"], 3);
}

#[test]
fn a_link_upwards_does_not_mix_classes() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src.join("train"));
    put(src.join("val/cat/9.JPEG"), &jpeg(9));
    symlink("..", src.join("train/cat/up")).expect("linked");
    symlink("../..", src.join("train/cat/top")).expect("linked");
    symlink("../../..", src.join("train/dog/above")).expect("linked");
    symlink("../../val/cat", src.join("train/dog/val")).expect("linked");
    symlink("..", src.join("train/parent")).expect("linked");
    let outcome = pack(&src, &out, &[], 0);
    let expected = [
        ("cat", "cat/0"),
        ("cat", "cat/1"),
        ("cat", "cat/2"),
        ("dog", "dog/0"),
        ("dog", "dog/1"),
        ("dog", "dog/2"),
    ];
    assert_eq!(classes_and_keys(&out, "train"), labelled(&expected));
    assert_skipped(&outcome, 5, "a link to a folder that is listed already");
}

#[test]
fn a_flat_train_beside_a_val_of_class_folders_is_packed_without_labels() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    put(src.join("train/a.JPEG"), &jpeg(1));
    cats_and_dogs(&src.join("val"));
    let outcome = pack(&src, &out, &["--strict"], 0);
    assert!(
        outcome.stderr.contains("1 file without labels"),
        "{outcome:?}"
    );
    assert_eq!(
        classes_and_keys(&out, "train"),
        [(None, "unlabelled/a".to_owned())]
    );
    assert_eq!(classes_and_keys(&out, "val").len(), 6);
}

#[test]
fn what_lies_beside_the_splits_is_counted_file_by_file() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src.join("train"));
    cats_and_dogs(&src.join("val"));
    cats_and_dogs(&src.join("test"));
    let outcome = pack(&src, &out, &[], 0);
    assert_skipped(&outcome, 6, "beside train and val");
    pack(&src, &dir.path().join("strict"), &["--strict"], 3);
}

/// A path longer than the system takes, which even root cannot list.
#[test]
fn a_folder_that_cannot_be_listed_is_skipped_and_only_strict_fails() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src);
    let script = "cd \"$0\" && for i in $(seq 21); do mkdir $1 && cd -P $1 || exit 1; done";
    let made = Command::new("bash")
        .args(["-c", script])
        .arg(src.join("cat"))
        .arg("d".repeat(200))
        .status();
    assert!(made.expect("bash runs").success());
    let outcome = pack(&src, &out, &[], 0);
    assert_skipped(
        &outcome,
        1,
        "a folder that cannot be listed (invalid filename)",
    );
    assert_eq!(classes_and_keys(&out, "train").len(), 6);
    pack(&src, &dir.path().join("strict"), &["--strict"], 3);
}

#[test]
fn the_files_named_in_a_report_do_not_depend_on_the_order_of_the_file_system() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src);
    (10..40)
        .rev()
        .for_each(|number| put(src.join(format!("{number}.txt")), b"x"));
    let outcome = pack(&src, &out, &[], 0);
    let at = |name: u32| outcome.stderr.find(&format!("src/{name}.txt"));
    let named: Vec<_> = (10..15).map(at).collect();
    assert!(
        named.iter().all(Option::is_some) && named.is_sorted(),
        "{outcome:?}"
    );
    assert_eq!(at(15), None);
    fs::remove_dir_all(&out).expect("removed");
}

/// What Kaggle gives: train and val deep in folders, annotations beside, val flat.
#[test]
fn a_download_of_kaggle_gives_the_same_shards_as_folder_and_as_archive() {
    let dir = folder();
    let src = dir.path().join("kaggle");
    let data = src.join("ILSVRC/Data/CLS-LOC");
    cats_and_dogs(&data.join("train"));
    put(data.join("val/v1.JPEG"), &jpeg(7));
    put(data.join("test/t1.JPEG"), &jpeg(8));
    put(
        src.join("ILSVRC/Annotations/CLS-LOC/train/cat/0.xml"),
        b"<annotation/>",
    );
    let labels = src.join("LOC_val_solution.csv");
    put(&labels, b"ImageId,PredictionString\nv1,dog 1 2 3 4\n");
    let labels = labels.to_str().expect("UTF-8");
    let out = dir.path().join("out");
    let outcome = pack(&src, &out, &["--labels", labels], 0);
    assert_eq!(classes_and_keys(&out, "train").len(), 6);
    assert_eq!(
        classes_and_keys(&out, "val"),
        labelled(&[("dog", "dog/v1")])
    );
    assert!(
        outcome.stderr.contains("classes are looked for in "),
        "{outcome:?}"
    );
    let archive = dir.path().join("kaggle.tar");
    crate::harness::tar(&archive, &src, &["."]);
    let of_archive = dir.path().join("of-archive");
    pack(&archive, &of_archive, &["--labels", labels], 0);
    assert!(tree(&out) == tree(&of_archive));
}

#[test]
fn a_flat_val_alone_is_val() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    put(src.join("val/v1.JPEG"), &jpeg(7));
    let refused = pack(&src, &out, &[], 2);
    assert!(refused.stderr.contains("--labels"), "{refused:?}");
    let labels = dir.path().join("labels.csv");
    put(&labels, b"v1,dog\n");
    pack(
        &src,
        &out,
        &["--labels", labels.to_str().expect("UTF-8")],
        0,
    );
    assert_eq!(
        classes_and_keys(&out, "val"),
        labelled(&[("dog", "dog/v1")])
    );
}

#[test]
fn a_half_unpacked_download_is_told() {
    let dir = folder();
    let src = dir.path().join("src");
    put(src.join("val/dog/v1.JPEG"), &jpeg(7));
    put(
        src.join("ILSVRC2012_img_train.tar"),
        &tar_of(&[("n01440764.tar", b"")]),
    );
    let refused = pack(&src, &dir.path().join("out"), &[], 3);
    assert!(
        refused
            .stderr
            .contains("one split is in ILSVRC2012_img_train.tar"),
        "{refused:?}"
    );
}

#[test]
fn archives_of_classes_give_their_classes() {
    let dir = folder();
    let src = dir.path().join("train");
    for (class, tone) in [("n01440764", 1), ("n02119789", 2)] {
        put(
            src.join(format!("{class}.tar")),
            &tar_of(&[(&format!("images/{class}_1.JPEG"), &jpeg(tone))]),
        );
    }
    let out = dir.path().join("out");
    pack(&src, &out, &[], 0);
    assert_eq!(
        classes_and_keys(&out, "train"),
        labelled(&[
            ("n01440764", "n01440764/images%2Fn01440764_1"),
            ("n02119789", "n02119789/images%2Fn02119789_1")
        ])
    );
}

#[test]
fn shards_of_somebody_else_are_pointed_to_the_command_that_takes_their_labels() {
    let dir = folder();
    let shard = dir.path().join("shard.tar");
    put(&shard, &tar_of(&[("a.jpg", &jpeg(1)), ("a.cls", b"3")]));
    let outcome = pack(&shard, &dir.path().join("out"), &[], 0);
    assert!(
        outcome.stderr.contains("taken by shard-tool index"),
        "{outcome:?}"
    );
}

#[test]
fn what_other_systems_leave_in_folders_is_skipped_as_what_it_is() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src);
    for name in [
        "cat/@eaDir/0.JPEG",
        "cat/.AppleDouble/0.JPEG",
        "cat/._0.JPEG",
    ] {
        put(src.join(name), &jpeg(9));
    }
    let outcome = pack(&src, &out, &[], 0);
    assert_skipped(&outcome, 1, "an index of a Synology disk station (@eaDir)");
    let told = "a folder of resource forks of macOS (.AppleDouble)";
    assert_skipped(&outcome, 1, told);
    assert_skipped(&outcome, 1, "a resource fork of macOS (._*)");
    assert_eq!(classes_and_keys(&out, "train").len(), 6);
    let archive = dir.path().join("src.tar");
    crate::harness::tar(&archive, &src, &["."]);
    let of_archive = dir.path().join("of-archive");
    pack(&archive, &of_archive, &[], 0);
    assert!(tree(&out) == tree(&of_archive));
}

#[test]
fn names_that_differ_in_their_unicode_form_alone_are_told() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    put(src.join("caf\u{e9}/\u{e9}.JPEG"), &jpeg(1));
    put(src.join("cafe\u{301}/\u{e9}.JPEG"), &jpeg(2));
    put(src.join("tea/\u{e9}t\u{e9}.JPEG"), &jpeg(3));
    put(src.join("tea/e\u{301}te\u{301}.JPEG"), &jpeg(4));
    let outcome = pack(&src, &out, &[], 0);
    for told in [
        "warning: 1 class with a name that looks like another's",
        "warning: 1 image with a name that looks like another's",
    ] {
        assert!(outcome.stderr.contains(told), "{outcome:#?}");
    }
    assert_eq!(classes_and_keys(&out, "train").len(), 4);
}

#[test]
fn images_of_other_kinds_are_skipped_with_what_packs_them() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src);
    put(src.join("cat/a.ppm"), b"P6\n1 1\n255\nabc");
    put(src.join("cat/b.tiff"), b"II*\0\x08\0\0\0");
    let outcome = pack(&src, &out, &[], 0);
    let help = "--transcode packs it as a JPEG";
    assert_skipped(
        &outcome,
        1,
        &format!("not a JPEG or PNG (detected: pnm; {help})"),
    );
    let told = "not a JPEG or PNG (detected: tiff; nothing here decodes it: convert it first)";
    assert_skipped(&outcome, 1, told);
    let outcome = pack(&src, &out, &["--transcode", "--overwrite"], 0);
    assert_skipped(&outcome, 1, told);
    assert_eq!(classes_and_keys(&out, "train").len(), 7);
}
