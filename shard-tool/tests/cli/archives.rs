//! Tars as sources: as downloaded, as people make them, streamed, damaged.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use shard_format::Manifest;

use crate::harness::{
    Outcome, cats_and_dogs, classes_and_keys, folder, jpeg, labelled, pack, put, python, samples,
    tar, tar_of, tree,
};

/// The archives of ImageNet in small: two classes of train in a tar of tars, a flat val.
fn downloads(dir: &Path) -> PathBuf {
    let (unpacked, downloads) = (dir.join("unpacked"), dir.join("downloads"));
    fs::create_dir_all(&downloads).expect("made");
    for class in ["n01440764", "n02119789"] {
        for number in 0..4u8 {
            let image = jpeg(number + if class == "n01440764" { 0 } else { 100 });
            put(
                unpacked.join(class).join(format!("{class}_{number}.JPEG")),
                &image,
            );
        }
        let inner = unpacked.join(format!("{class}.tar"));
        tar(&inner, &unpacked.join(class), &["."]);
    }
    let train = downloads.join("ILSVRC2012_img_train.tar");
    tar(&train, &unpacked, &["n01440764.tar", "n02119789.tar"]);
    for number in 1..=3u8 {
        let name = format!("val/ILSVRC2012_val_{number:08}.JPEG");
        put(unpacked.join(name), &jpeg(200 + number));
    }
    tar(
        &downloads.join("ILSVRC2012_img_val.tar"),
        &unpacked.join("val"),
        &["."],
    );
    downloads
}

/// A devkit whose first id is n02119789 and second n01440764; val is of classes 2, 1, 2.
fn devkit(downloads: &Path) {
    let data = downloads
        .with_file_name("ILSVRC2012_devkit_t12")
        .join("data");
    put(
        data.join("ILSVRC2012_validation_ground_truth.txt"),
        b"2\n1\n2\n",
    );
    let script = "
import sys, numpy, scipy.io
kinds = [('ILSVRC2012_ID', 'O'), ('WNID', 'O'), ('words', 'O'), ('children', 'O')]
rows = numpy.empty((3, 1), dtype=kinds)
rows[0, 0] = (1, 'n02119789', 'kit fox', numpy.array([]))
rows[1, 0] = (2, 'n01440764', 'tench, Tinca tinca', numpy.array([]))
rows[2, 0] = (1001, 'n00001740', 'entity', numpy.array([1.0, 2.0]))
scipy.io.savemat(sys.argv[1], {'synsets': rows}, do_compression=True)";
    let written = Command::new(python())
        .arg("-c")
        .arg(script)
        .arg(data.join("meta.mat"))
        .status();
    assert!(written.expect("python runs").success());
    let status = Command::new("tar")
        .arg("czf")
        .arg(downloads.join("ILSVRC2012_devkit_t12.tar.gz"))
        .arg("-C")
        .arg(downloads.parent().expect("a parent"))
        .arg("ILSVRC2012_devkit_t12")
        .status();
    assert!(status.expect("tar runs").success());
}

#[test]
fn the_archives_of_imagenet_are_packed_as_they_were_downloaded() {
    let dir = folder();
    let downloads = downloads(dir.path());
    devkit(&downloads);
    let out = dir.path().join("out");
    let outcome = pack(&downloads, &out, &[], 0);
    assert!(outcome.stdout.contains("train 8, val 3"), "{outcome:?}");
    let train = samples(&out, "train");
    assert_eq!(train.len(), 8);
    for (class, key, image) in train {
        let class = class.expect("a label");
        let file = key
            .strip_prefix(&format!("{class}/"))
            .expect("the key starts with the class");
        let source = dir.path().join(format!("unpacked/{class}/{file}.JPEG"));
        assert_eq!(image, fs::read(source).expect("the source"));
    }
    assert_eq!(
        classes_and_keys(&out, "val"),
        labelled(&[
            ("n01440764", "n01440764/ILSVRC2012_val_00000001"),
            ("n01440764", "n01440764/ILSVRC2012_val_00000003"),
            ("n02119789", "n02119789/ILSVRC2012_val_00000002"),
        ])
    );
}

#[test]
fn an_unpacked_devkit_beside_the_archives_is_used_as_well() {
    let dir = folder();
    let downloads = downloads(dir.path());
    devkit(&downloads);
    let name = "ILSVRC2012_devkit_t12";
    fs::remove_file(downloads.join(format!("{name}.tar.gz"))).expect("removed");
    fs::rename(dir.path().join(name), downloads.join(name)).expect("moved");
    let outcome = pack(&downloads, &dir.path().join("out"), &["--strict"], 0);
    assert!(outcome.stdout.contains("train 8, val 3"), "{outcome:?}");
}

#[test]
fn a_tar_of_tars_gives_the_bytes_of_the_unpacked_folders() {
    let dir = folder();
    let downloads = downloads(dir.path());
    let (out, again) = (dir.path().join("out"), dir.path().join("again"));
    pack(&downloads.join("ILSVRC2012_img_train.tar"), &out, &[], 0);
    let unpacked = dir.path().join("unpacked");
    fs::remove_dir_all(unpacked.join("val")).expect("removed");
    fs::remove_file(unpacked.join("n01440764.tar")).expect("removed");
    fs::remove_file(unpacked.join("n02119789.tar")).expect("removed");
    pack(&unpacked, &again, &[], 0);
    assert!(tree(&out) == tree(&again));
}

#[test]
fn a_flat_val_archive_asks_for_labels_and_takes_kaggles_list() {
    let dir = folder();
    let downloads = downloads(dir.path());
    let (val, out) = (
        downloads.join("ILSVRC2012_img_val.tar"),
        dir.path().join("out"),
    );
    let refused = pack(&val, &out, &[], 2);
    assert!(refused.stderr.contains("--labels FILE"), "{refused:?}");
    let list = dir.path().join("LOC_val_solution.csv");
    let text = "ImageId,PredictionString\nILSVRC2012_val_00000001,n2 1 2 3 4\nILSVRC2012_val_00000002,n1 1 2 3 4\n";
    put(&list, text.as_bytes());
    let outcome = pack(&val, &out, &["--labels", list.to_str().expect("UTF-8")], 0);
    assert!(
        outcome
            .stderr
            .contains("1 file skipped: not in the file of labels"),
        "{outcome:?}"
    );
    let expected = [
        ("n1", "n1/ILSVRC2012_val_00000002"),
        ("n2", "n2/ILSVRC2012_val_00000001"),
    ];
    assert_eq!(classes_and_keys(&out, "val"), labelled(&expected));
}

#[test]
fn an_archive_or_a_stream_of_class_folders_gives_the_bytes_of_the_folders() {
    let dir = folder();
    let (src, archive) = (dir.path().join("photos"), dir.path().join("photos.tar"));
    cats_and_dogs(&src.join("train"));
    cats_and_dogs(&src.join("val"));
    tar(&archive, dir.path(), &["photos"]);
    let out = |name: &str| dir.path().join(name);
    pack(&src, &out("folders"), &[], 0);
    pack(&archive, &out("archive"), &[], 0);
    let streamed = Command::new(env!("CARGO_BIN_EXE_shard-tool"))
        .args(["pack", "-", "--out"])
        .arg(out("stream"))
        .stdin(Stdio::from(fs::File::open(&archive).expect("opens")))
        .output()
        .expect("shard-tool runs");
    assert!(streamed.status.success(), "{streamed:?}");
    assert!(tree(&out("folders")) == tree(&out("archive")));
    assert!(tree(&out("folders")) == tree(&out("stream")));
}

#[test]
fn a_damaged_archive_is_named_with_its_last_good_member() {
    let dir = folder();
    let archive = downloads(dir.path()).join("ILSVRC2012_img_train.tar");
    let bytes = fs::read(&archive).expect("reads");
    let out = dir.path().join("out");
    let second = header_of(&bytes, "n02119789.tar");
    let refused = |bytes: &[u8], problem: &str| {
        fs::write(&archive, bytes).expect("written");
        let outcome = pack(&archive, &out, &[], 3);
        let last_good = "last good member n01440764.tar at offset 0;";
        assert!(
            outcome.stderr.contains(problem) && outcome.stderr.contains(last_good),
            "{outcome:?}"
        );
    };
    refused(
        &bytes[..second + 700],
        "188 of 10240 bytes of a member are there",
    );
    refused(&bytes[..second], "without the end marker");
    let mut broken = bytes.clone();
    broken[second + 150] ^= 0x55;
    refused(&broken, &format!("at offset {second}"));
    let mut hole = bytes.clone();
    hole[second..second + 512].fill(0);
    refused(&hole, "zeros stand where a header should be");
    refused_as_no_tar(&archive, &out);
    assert!(!out.exists());
}

fn refused_as_no_tar(archive: &Path, out: &Path) {
    fs::write(
        archive,
        [b"\x1f\x8b\x08".as_slice(), &[0x9d; 2_000]].concat(),
    )
    .expect("written");
    let outcome = pack(archive, out, &[], 3);
    assert!(
        outcome.stderr.contains("it is compressed with gzip"),
        "{outcome:?}"
    );
}

/// Where the header of the member of this name is.
fn header_of(tar: &[u8], name: &str) -> usize {
    let found = tar
        .windows(name.len())
        .position(|window| window == name.as_bytes());
    found.expect("it is there")
}

fn three_images() -> Vec<u8> {
    tar_of(&[
        ("cat/a.jpg", &jpeg(1)),
        ("dog/b.jpg", &jpeg(2)),
        ("dog/c.jpg", &jpeg(3)),
    ])
}

#[test]
fn the_part_before_the_damage_is_used_on_request_and_strict_sees_the_rest() {
    let dir = folder();
    let archive = dir.path().join("photos.tar");
    let mut bytes = three_images();
    let third = header_of(&bytes, "dog/c.jpg");
    bytes[third..third + 512].fill(0);
    put(&archive, &bytes);
    let out = dir.path().join("out");
    pack(&archive, &out, &["--allow-damaged", "--strict"], 3);
    let outcome = pack(&archive, &out, &["--allow-damaged"], 0);
    let told = format!("at offset {third}, last good member dog/b.jpg at offset");
    assert!(
        outcome
            .stderr
            .contains("of which the part before the damage is used")
            && outcome.stderr.contains(&told),
        "{outcome:?}"
    );
    let whole = labelled(&[("cat", "cat/a"), ("dog", "dog/b")]);
    assert_eq!(classes_and_keys(&out, "train"), whole);
}

#[test]
fn a_stream_whose_producer_died_between_two_members_is_refused() {
    let dir = folder();
    let bytes = three_images();
    let cut = dir.path().join("cut");
    put(&cut, &bytes[..header_of(&bytes, "dog/c.jpg")]);
    let stream = |more: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_shard-tool"))
            .args(["pack", "-", "--out"])
            .arg(dir.path().join("out"))
            .args(more)
            .stdin(Stdio::from(fs::File::open(&cut).expect("opens")))
            .output()
            .expect("shard-tool runs")
    };
    let refused = stream(&[]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(3), "{told}");
    assert!(
        told.contains("it ends without the end marker; standard input at offset"),
        "{told}"
    );
    let compressed = [b"\x1f\x8b\x08".as_slice(), &[0x9d; 2_000]].concat();
    let whole = fs::read(&cut).expect("reads");
    put(&cut, &compressed);
    let told = String::from_utf8_lossy(&stream(&[]).stderr).into_owned();
    assert!(
        told.contains("it is compressed with gzip; standard input; decompress"),
        "{told}"
    );
    put(&cut, &whole);
    assert!(stream(&["--allow-damaged"]).status.success());
    assert_eq!(classes_and_keys(&dir.path().join("out"), "train").len(), 2);
}

#[test]
fn damage_inside_of_an_inner_tar_is_told_and_leaves_the_others_whole() {
    let dir = folder();
    let archive = downloads(dir.path()).join("ILSVRC2012_img_train.tar");
    let mut bytes = fs::read(&archive).expect("reads");
    // In whatever order `tar` found them.
    let first = header_of(&bytes, "./n01440764_");
    let second_image = first + 512 + header_of(&bytes[first + 512..], "./n01440764_");
    bytes[second_image..second_image + 512].fill(0);
    put(&archive, &bytes);
    let out = dir.path().join("out");
    let refused = pack(&archive, &out, &[], 3);
    let place = format!("ILSVRC2012_img_train.tar:n01440764.tar at offset {second_image}");
    assert!(refused.stderr.contains(&place), "{refused:?}");
    pack(&archive, &out, &["--allow-damaged"], 0);
    let keys = classes_and_keys(&out, "train");
    let of_second = keys.iter().filter(|(_, key)| key.starts_with("n02119789"));
    assert_eq!(of_second.count(), 4);
    assert_eq!(keys.len(), 5);
}

#[test]
fn an_inner_tar_that_is_cut_gives_its_members_before_the_cut() {
    let dir = folder();
    let archive = downloads(dir.path()).join("ILSVRC2012_img_train.tar");
    let bytes = fs::read(&archive).expect("reads");
    let second = header_of(&bytes, "n02119789.tar");
    let image = second + header_of(&bytes[second..], "./n02119789_");
    let next = image + 512 + header_of(&bytes[image + 512..], "./n02119789_");
    put(&archive, &bytes[..next + 520]);
    let out = dir.path().join("out");
    let outcome = pack(&archive, &out, &["--allow-damaged"], 0);
    let keys = classes_and_keys(&out, "train");
    let of_second = keys.iter().filter(|(_, key)| key.starts_with("n02119789/"));
    assert_eq!((of_second.count(), keys.len()), (1, 5), "{outcome:?}");
}

/// Classes in train and val of what `pack` makes of a tar of these members.
fn classes_of(dir: &Path, members: &[&str]) -> (Vec<String>, String) {
    let images: Vec<Vec<u8>> = (0..members.len()).map(|tone| jpeg(tone as u8)).collect();
    let members: Vec<(&str, &[u8])> = members
        .iter()
        .zip(&images)
        .map(|(name, image)| (*name, &image[..]))
        .collect();
    let (archive, out) = (dir.join("some.tar"), dir.join("out"));
    put(&archive, &tar_of(&members));
    let outcome = pack(&archive, &out, &["--overwrite"], 0);
    let manifest = Manifest::load(&out).expect("loads");
    (manifest.classes, outcome.stderr)
}

#[test]
fn the_top_folder_of_an_archive_is_no_class_if_folders_are_below_it() {
    let dir = folder();
    let classes = |members: &[&str]| classes_of(dir.path(), members).0;
    assert_eq!(
        classes(&["photos/cat/a.jpg", "photos/dog/b.jpg"]),
        ["cat", "dog"]
    );
    assert_eq!(classes(&["cat/a.jpg", "cat/b.jpg"]), ["cat"]);
    assert_eq!(classes(&["p/train/cat/a.jpg", "p/val/cat/b.jpg"]), ["cat"]);
    assert_eq!(classes(&["val/cat/b.jpg"]), ["cat"]);
    let (classes, told) = classes_of(dir.path(), &["photos/cat/a.jpg", "photos/dog/b.jpg"]);
    assert_eq!(classes.len(), 2);
    assert!(
        told.contains("classes are looked for below `photos/`"),
        "{told}"
    );
}

#[test]
fn members_in_no_class_folder_of_an_archive_are_skipped_as_strays() {
    let dir = folder();
    let members = [
        "cat/a.jpg",
        "dog/b.jpg",
        "c.jpg",
        "README.txt",
        ".git/x/y.jpg",
    ];
    let (classes, told) = classes_of(dir.path(), &members);
    assert_eq!(classes, ["cat", "dog"]);
    assert!(
        told.contains("2 files skipped: not in a class folder"),
        "{told}"
    );
    assert!(told.contains("1 file skipped: hidden"), "{told}");
}

#[test]
fn a_flat_archive_without_labels_is_unlabelled_but_one_of_val_is_refused() {
    let dir = folder();
    let (plain, val) = (
        dir.path().join("carnival.tar"),
        dir.path().join("my-val.tar"),
    );
    let bytes = tar_of(&[("a.jpg", &jpeg(1)), ("b.jpg", &jpeg(2))]);
    put(&plain, &bytes);
    put(&val, &bytes);
    let out = dir.path().join("out");
    let outcome = pack(&plain, &out, &[], 0);
    assert!(
        outcome.stderr.contains("2 files without labels"),
        "{outcome:?}"
    );
    let unlabelled = [
        (None, "unlabelled/a".to_owned()),
        (None, "unlabelled/b".to_owned()),
    ];
    assert_eq!(classes_and_keys(&out, "train"), unlabelled);
    let refused = pack(&val, &dir.path().join("no"), &[], 2);
    assert!(refused.stderr.contains("--labels FILE"), "{refused:?}");
}

/// Reads the samples in the folder that `SSLIGHT_DATA` names.
#[test]
fn the_sample_archives_give_their_classes() {
    let Some(data) = std::env::var_os("SSLIGHT_DATA").map(PathBuf::from) else {
        eprintln!("SKIPPED: the_sample_archives_give_their_classes: SSLIGHT_DATA is not set");
        return;
    };
    let dir = folder();
    for (archive, num_classes, splits) in [
        ("imagenet-sample200.tar", 200, &["train"][..]),
        ("imagenette224.tar", 10, &["train", "val"]),
    ] {
        let out = dir.path().join(archive);
        pack(&data.join(archive), &out, &[], 0);
        let manifest = Manifest::load(&out).expect("loads");
        assert_eq!(manifest.classes.len(), num_classes);
        assert_eq!(manifest.split_names(), splits);
    }
}

#[test]
fn links_in_an_archive_are_told_as_what_they_are() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    put(src.join("cat/a.jpg"), &jpeg(1));
    fs::hard_link(src.join("cat/a.jpg"), src.join("cat/b.jpg")).expect("linked");
    std::os::unix::fs::symlink("a.jpg", src.join("cat/c.jpg")).expect("linked");
    let archive = dir.path().join("linked.tar");
    tar(&archive, &src, &["."]);
    let outcome = pack(&archive, &out, &[], 0);
    assert_eq!(samples(&out, "train").len(), 1);
    let told = "2 files skipped: a link in an archive, which is not followed";
    assert!(outcome.stderr.contains(told), "{outcome:?}");
}

#[test]
fn an_archive_that_is_cut_short_while_it_is_listed_is_an_error_in_words() {
    let dir = folder();
    let archive = dir.path().join("photos.tar");
    put(&archive, &three_images());
    let file = fs::File::options().write(true).open(&archive);
    let file = file.expect("opens");
    // Zeros may follow the end, and looking through so many takes far longer than cutting them off.
    file.set_len(1 << 36).expect("grows");
    let mut child = Command::new(env!("CARGO_BIN_EXE_shard-tool"))
        .arg("pack")
        .arg(&archive)
        .stderr(Stdio::piped())
        .spawn()
        .expect("shard-tool starts");
    let maps = format!("/proc/{}/maps", child.id());
    let is_mapped = || {
        let maps = fs::read_to_string(&maps).unwrap_or_default();
        maps.contains("photos.tar")
    };
    while !is_mapped() && child.try_wait().expect("asked").is_none() {
        std::hint::spin_loop();
    }
    file.set_len(1_000).expect("cut");
    let outcome = Outcome::from(child.wait_with_output().expect("it ends"));
    assert_eq!(outcome.code, 3, "{outcome:#?}");
    let told = "error[3]: a file was cut short while it was read";
    assert!(outcome.stderr.contains(told), "{outcome:#?}");
}
