//! `shard-tool pack` on good and on bad sources.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use image::ImageFormat;
use shard_format::{ImageKind, Manifest, ShardSet};

use crate::harness::{cats_and_dogs, encoded, folder, jpeg, names_in, pack, put, shard_tool, tree};

fn keys(out: &Path, split: &str) -> Vec<String> {
    let set = ShardSet::open(out, split).expect("the set opens");
    let key = |id| set.sample(id).expect("the sample is there").key.to_owned();
    let mut keys: Vec<String> = (0..set.num_samples()).map(key).collect();
    keys.sort();
    keys
}

#[test]
fn a_folder_of_class_folders_becomes_a_set_and_the_next_command_is_told() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src);
    let outcome = pack(&src, &out, &[], 0);
    assert!(
        outcome
            .stdout
            .starts_with("packed 6 images (train 6), 2 classes, 1 shard,"),
        "{outcome:?}"
    );
    assert!(
        outcome
            .stdout
            .ends_with(&format!("next:  loader serve {}\n", out.display()))
    );
    assert_eq!(
        names_in(&out),
        ["manifest.json", "train-000000.idx", "train-000000.tar"]
    );
    let set = ShardSet::open(&out, "train").expect("the set opens");
    assert_eq!(set.classes(), ["cat", "dog"]);
    for id in 0..6 {
        let sample = set.sample(id).expect("the sample is there");
        let source = src.join(format!("{}.JPEG", sample.key));
        let image = sample.image().expect("is there");
        assert_eq!(image, std::fs::read(source).expect("the source"));
        assert_eq!(
            (
                sample.header.width,
                sample.header.height,
                sample.header.kind
            ),
            (12, 8, ImageKind::JpegBaseline)
        );
        let class = &set.classes()[sample.label.expect("a label") as usize];
        assert!(sample.key.starts_with(class.as_str()));
    }
}

#[test]
fn the_default_output_lies_beside_the_source() {
    let dir = folder();
    cats_and_dogs(&dir.path().join("photos"));
    let outcome = shard_tool(&[OsStr::new("pack"), dir.path().join("photos/").as_os_str()]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert_eq!(keys(&dir.path().join("photos-shards"), "train").len(), 6);
}

#[test]
fn train_and_val_share_their_labels() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src.join("train"));
    put(src.join("val/ant/1.JPEG"), &jpeg(1));
    put(src.join("val/dog/1.JPEG"), &jpeg(2));
    pack(&src, &out, &[], 0);
    let val = ShardSet::open(&out, "val").expect("the set opens");
    assert_eq!(val.classes(), ["ant", "cat", "dog"]);
    assert_eq!(keys(&out, "val"), ["ant/1", "dog/1"]);
    assert_eq!(
        Manifest::load(&out)
            .expect("the manifest loads")
            .split_names(),
        ["train", "val"]
    );
}

#[test]
fn packing_twice_gives_the_same_bytes_and_another_seed_another_order() {
    let dir = folder();
    let src = dir.path().join("src");
    cats_and_dogs(&src);
    let packed = |name: &str, seed: &str| {
        let out = dir.path().join(name);
        pack(&src, &out, &["--seed", seed, "--val-fraction", "0.34"], 0);
        tree(&out)
    };
    let first = packed("a", "1");
    assert_eq!(first, packed("b", "1"));
    assert_ne!(first, packed("c", "2"));
    assert!(first.contains_key(Path::new("val-000000.tar")));
}

#[test]
fn any_number_of_workers_gives_the_same_bytes() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    for number in 0..60u8 {
        put(
            src.join(format!("{}/{number}.JPEG", number % 3)),
            &jpeg(number),
        );
    }
    let options = [
        "--samples-per-shard",
        "7",
        "--resize-short",
        "6",
        "--overwrite",
    ];
    let packed_by = |workers: &str| {
        pack(
            &src,
            &out,
            &[&options[..], &["--workers", workers]].concat(),
            0,
        );
        tree(&out)
    };
    let alone = packed_by("1");
    assert_eq!(alone.len(), 19);
    for workers in ["2", "5", "64"] {
        assert!(packed_by(workers) == alone, "{workers}");
    }
}

#[test]
fn a_disk_that_fails_ends_the_packing_and_names_the_file() {
    let dir = folder();
    let (list, out) = (dir.path().join("list"), dir.path().join("out"));
    put(dir.path().join("0.jpg"), &jpeg(1));
    // Reading the memory of a process where nothing is mapped fails as a broken disk does.
    put(&list, b"0.jpg\ta\n/proc/self/mem\ta\n");
    let outcome = pack(&list, &out, &["--list"], 3);
    assert!(
        outcome.stderr.contains("error[3]: cannot read"),
        "{outcome:?}"
    );
    assert!(outcome.stderr.contains("/proc/self/mem"), "{outcome:?}");
    assert!(!out.join("manifest.json").exists());
}

#[test]
fn many_files_that_went_away_end_the_packing_and_a_few_are_left_out() {
    let dir = folder();
    let (list, out) = (dir.path().join("list"), dir.path().join("out"));
    put(dir.path().join("0.jpg"), &jpeg(1));
    let listed = |num_gone: u32| {
        let gone = (0..num_gone).map(|number| format!("gone-{number}.jpg\ta\n"));
        put(
            &list,
            format!("0.jpg\ta\n{}", gone.collect::<String>()).as_bytes(),
        );
    };
    listed(101);
    let outcome = pack(&list, &out, &["--list"], 3);
    assert!(
        outcome
            .stderr
            .contains("that were listed are not there any more"),
        "{outcome:?}"
    );
    assert!(!out.join("manifest.json").exists());
    listed(100);
    let outcome = pack(&list, &out, &["--list"], 0);
    assert!(
        outcome
            .stderr
            .contains("100 files skipped: listed, and not there"),
        "{outcome:?}"
    );
}

#[test]
fn a_pipe_in_a_list_is_not_waited_for() {
    let dir = folder();
    let (list, out) = (dir.path().join("list"), dir.path().join("out"));
    put(dir.path().join("0.jpg"), &jpeg(1));
    let made = Command::new("mkfifo")
        .arg(dir.path().join("1.jpg"))
        .status();
    assert!(made.expect("mkfifo runs").success());
    put(&list, b"0.jpg\ta\n1.jpg\ta\n");
    let outcome = pack(&list, &out, &["--list"], 0);
    assert!(
        outcome.stderr.contains("1 file skipped: not a file"),
        "{outcome:?}"
    );
}

#[test]
fn odd_names_survive() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    let long = "l".repeat(200);
    put(src.join("v1.2 cats/img.final.v2.jpg"), &jpeg(1));
    put(src.join("v1.2 cats/a.jpg"), &jpeg(2));
    put(src.join("v1.2 cats/a.JPEG"), &jpeg(3));
    put(src.join("v1.2 cats/sub/a.jpg"), &jpeg(4));
    put(src.join(format!("dog/{long}.jpg")), &jpeg(5));
    put(
        src.join(OsStr::from_bytes(b"caf\xe9")).join("x.jpg"),
        &jpeg(6),
    );
    pack(&src, &out, &[], 0);
    let expected = [
        "caf%E9/x".to_owned(),
        format!("dog/{long}"),
        "v1.2 cats/a%2EJPEG".to_owned(),
        "v1.2 cats/a%2Ejpg".to_owned(),
        "v1.2 cats/img%2Efinal%2Ev2".to_owned(),
        "v1.2 cats/sub%2Fa".to_owned(),
    ];
    assert_eq!(keys(&out, "train"), expected);
}

#[test]
fn bad_files_are_skipped_with_their_reasons() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src);
    put(src.join("cat/text.JPEG"), b"not an image\n");
    put(src.join("cat/page.JPEG"), b"<html>404</html>");
    put(src.join("cat/empty.JPEG"), b"");
    put(src.join("cat/stub.JPEG"), &jpeg(1)[..10]);
    put(src.join("readme.txt"), b"hello");
    symlink("nowhere", src.join("cat/dangling.JPEG")).expect("linked");
    let outcome = pack(&src, &out, &[], 0);
    for reason in [
        "not a JPEG or PNG (detected: text)",
        "not a JPEG or PNG (detected: html)",
        "not a JPEG or PNG (detected: empty)",
        "jpeg with an unusable header (the file ends before the frame header)",
        "not in a class folder",
        "a link that leads nowhere",
    ] {
        assert!(
            outcome
                .stderr
                .contains(&format!("1 file skipped: {reason}")),
            "{reason}: {outcome:#?}"
        );
    }
    assert!(outcome.stderr.contains("cat/text.JPEG"));
    assert_eq!(keys(&out, "train").len(), 6);
}

#[test]
fn a_png_named_jpeg_is_packed_as_what_it_is() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    put(
        src.join("cat/n02105855_2933.JPEG"),
        &encoded(9, ImageFormat::Png),
    );
    pack(&src, &out, &[], 0);
    let set = ShardSet::open(&out, "train").expect("the set opens");
    assert_eq!(
        set.sample(0).expect("the sample").header.kind,
        ImageKind::Png
    );
    let listing = Command::new("tar")
        .arg("-tf")
        .arg(out.join("train-000000.tar"))
        .output()
        .expect("tar runs");
    assert_eq!(
        listing.stdout,
        b"cat/n02105855_2933.png\ncat/n02105855_2933.cls\n"
    );
}

#[test]
fn a_truncated_jpeg_and_a_cmyk_jpeg_are_packed() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    let whole = jpeg(1);
    put(src.join("cat/cut.JPEG"), &whole[..whole.len() - 20]);
    let four_inks = [
        0xff, 0xd8, 0xff, 0xc0, 0, 20, 8, 0, 4, 0, 4, 4, 1, 17, 0, 2, 17, 0, 3, 17, 0, 4, 17, 0,
    ];
    put(src.join("cat/inks.JPEG"), &four_inks);
    let outcome = pack(&src, &out, &[], 0);
    assert!(
        outcome.stdout.contains("2 jpeg-baseline; 1 cmyk, 1 ycbcr"),
        "{outcome:?}"
    );
}

#[test]
fn strict_refuses_what_would_be_skipped_and_writes_nothing() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src);
    put(src.join("cat/text.JPEG"), b"text");
    let outcome = pack(&src, &out, &["--strict"], 3);
    assert!(
        outcome.stderr.contains("error[3]: 1 file skipped"),
        "{outcome:?}"
    );
    assert!(!out.exists());
}

#[test]
fn a_class_folder_without_images_is_no_class() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src);
    put(src.join("bird/readme.txt"), b"soon");
    let outcome = pack(&src, &out, &[], 0);
    assert!(
        outcome
            .stderr
            .contains("class folder `bird` holds no image"),
        "{outcome:?}"
    );
    assert_eq!(
        ShardSet::open(&out, "train").expect("opens").classes(),
        ["cat", "dog"]
    );
}

#[test]
fn loops_of_links_end() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src);
    symlink("../cat", src.join("cat/again")).expect("linked");
    symlink("self", src.join("cat/self")).expect("linked");
    symlink("../cat", src.join("dog/other")).expect("linked");
    symlink("../dog", src.join("cat/other")).expect("linked");
    symlink("..", src.join("cat/up")).expect("linked");
    pack(&src, &out, &[], 0);
    let expected = ["cat/0", "cat/1", "cat/2", "dog/0", "dog/1", "dog/2"];
    assert_eq!(keys(&out, "train"), expected);
    let set = ShardSet::open(&out, "train").expect("the set opens");
    assert_eq!(set.classes(), ["cat", "dog"]);
    for id in 0..set.num_samples() {
        let sample = set.sample(id).expect("the sample is there");
        let class = &set.classes()[sample.label.expect("a label") as usize];
        assert!(sample.key.starts_with(class.as_str()), "{}", sample.key);
    }
}

#[test]
fn sources_without_images_are_told_apart() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    let error = |code| pack(&src, &out, &[], code).stderr;
    assert!(error(3).contains("does not exist"));
    std::fs::create_dir(&src).expect("made");
    assert!(error(3).contains("is empty"));
    put(src.join("flat.JPEG"), b"text");
    assert!(error(3).contains("no JPEG or PNG image"));
    put(src.join("cat/notes.txt"), b"text");
    let no_images = error(3);
    assert!(
        no_images.contains("no JPEG or PNG image in 1 class folder, 2 files skipped"),
        "{no_images}"
    );
    assert!(!out.exists());
}

#[test]
fn wrong_usage_is_told_with_exit_code_2() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src.join("train"));
    cats_and_dogs(&src.join("val"));
    pack(&src, &out, &["--val-fraction", "0.1"], 2);
    pack(&src, &out, &["--val-fraction", "1.5"], 2);
    let zero = pack(&src, &out, &["--shard-size", "0"], 2);
    assert!(
        zero.stderr
            .starts_with("error[2]: invalid value '0' for '--shard-size <MIB>'"),
        "{zero:?}"
    );
    assert!(zero.stderr.ends_with("try '--help'.\n"), "{zero:?}");
    let inside = pack(&src, &src.join("train/out"), &[], 2);
    assert!(
        inside.stderr.contains("lies inside the source"),
        "{inside:?}"
    );
    pack(&src, &out, &[], 0);
    assert!(pack(&src, &out, &[], 2).stderr.contains("--overwrite"));
    pack(&src, &out, &["--overwrite"], 0);
}

#[test]
fn nobody_needs_to_read_what_is_told() {
    let dir = folder();
    let src = dir.path().join("src");
    cats_and_dogs(&src);
    put(src.join("cat/text.JPEG"), b"text");
    let out = dir.path().join("out");
    let mut command = Command::new(env!("CARGO_BIN_EXE_shard-tool"));
    let full = fs::File::options().write(true).open("/dev/full");
    command.args(["pack".as_ref(), src.as_os_str()]);
    command.args(["--out".as_ref(), out.as_os_str()]);
    let status = command.stderr(full.expect("opens")).status();
    assert_eq!(status.expect("runs").code(), Some(0));
    assert_eq!(keys(&out, "train").len(), 6);
}

#[test]
fn a_class_whose_files_went_away_ends_the_packing() {
    let dir = folder();
    put(dir.path().join("a.jpg"), &jpeg(1));
    let gone: String = (0..200)
        .map(|number| format!("gone-{number}.jpg\tb\n"))
        .collect();
    let list = dir.path().join("files.tsv");
    put(&list, format!("a.jpg\ta\n{gone}").as_bytes());
    let refused = pack(&list, &dir.path().join("out"), &["--list"], 3);
    assert!(refused.stderr.contains("gone-0.jpg"), "{refused:?}");
}

#[test]
fn a_set_whose_manifest_cannot_be_read_is_not_replaced() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src);
    pack(&src, &out, &[], 0);
    put(out.join("manifest.json"), b"{");
    let before = tree(&out);
    let refused = pack(&src, &out, &["--overwrite", "--seed", "1"], 2);
    assert!(
        refused.stderr.contains("manifest.json; move it"),
        "{refused:?}"
    );
    assert_eq!(tree(&out), before);
}
