//! Files that say which images, and of which classes: lists, labels, subsets.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{
    cats_and_dogs, classes_and_keys, folder, jpeg, labelled, pack, put, python, tar, tree,
};

#[test]
fn a_list_names_files_with_and_without_classes() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src);
    let absolute = src.join("dog/1.JPEG");
    let text = format!(
        "src/cat/0.JPEG\tred fox\n{}\tdog\nsrc/cat/2.JPEG\n",
        absolute.display()
    );
    let list = dir.path().join("files.tsv");
    put(&list, text.as_bytes());
    pack(&list, &out, &["--list"], 0);
    let found = classes_and_keys(&out, "train");
    assert_eq!(found[0], (None, "unlabelled/src%2Fcat%2F2".to_owned()));
    assert_eq!(
        found[2],
        (
            Some("red fox".to_owned()),
            "red fox/src%2Fcat%2F0".to_owned()
        )
    );
    assert!(found[1].1.starts_with("dog/") && found[1].1.ends_with("src%2Fdog%2F1"));
}

#[test]
fn a_compressed_list_is_called_one() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src);
    let list = dir.path().join("files.tsv.gz");
    put(
        &list,
        b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x4b\xe4\x02\0\x07\xa1\xea\xdd\x02\0\0\0",
    );
    let outcome = pack(&list, &out, &["--list"], 3);
    let told = "error[3]: this is no text (detected: gzip); ";
    assert!(outcome.stderr.contains(told), "{outcome:#?}");
}

#[test]
fn subsets_take_names_rows_and_indices() {
    let dir = folder();
    let (src, file) = (dir.path().join("src"), dir.path().join("subset.txt"));
    for class in ["n01", "n02"] {
        (0..4).for_each(|number| {
            put(
                src.join(format!("{class}/{class}_{number}.JPEG")),
                &jpeg(number),
            )
        });
    }
    let subset = file.to_str().expect("UTF-8").to_owned();
    let keys = |out: &str, text: &str| {
        put(&file, text.as_bytes());
        let out = dir.path().join(out);
        pack(&src, &out, &["--subset", &subset], 0);
        classes_and_keys(&out, "train")
            .into_iter()
            .map(|(_, key)| key)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        keys("names", "n01_1.JPEG\nn02_3.JPEG\n"),
        ["n01/n01_1", "n02/n02_3"]
    );
    assert_eq!(keys("rows", "7,1,n02,n02_3.JPEG\n"), ["n02/n02_3"]);
    assert_eq!(keys("indices", "0\n5\n"), ["n01/n01_0", "n02/n02_1"]);
    put(&file, b"n01_9.JPEG\n12\nn01_1.JPEG\n");
    let refused = pack(&src, &dir.path().join("no"), &["--subset", &subset], 3);
    assert!(
        refused.stderr.contains("2 lines of the subset")
            && refused.stderr.contains("n01_9.JPEG, 12"),
        "{refused:?}"
    );
}

#[test]
fn so_many_of_each_class_are_drawn_by_seed() {
    let dir = folder();
    let src = dir.path().join("src");
    for class in ["a", "b"] {
        for number in 0..20 {
            put(src.join(format!("{class}/{number}.JPEG")), &jpeg(number));
            put(src.join(format!("{class}/{number}.xml")), b"<annotation/>");
        }
    }
    let drawn = |out: &str, seed: &str| {
        let out = dir.path().join(out);
        pack(&src, &out, &["--per-class", "5", "--seed", seed], 0);
        classes_and_keys(&out, "train")
    };
    let first = drawn("first", "1");
    assert_eq!(
        first
            .iter()
            .filter(|(_, key)| key.starts_with("a/"))
            .count(),
        5
    );
    assert_eq!(first.len(), 10);
    assert_eq!(drawn("again", "1"), first);
    assert_ne!(drawn("other", "2"), first);
}

/// `SRC/train` of cats and dogs with a README, and a flat `SRC/val`; the file of labels beside.
fn flat_val(dir: &Path, labels: &str) -> (PathBuf, String) {
    let src = dir.join("src");
    cats_and_dogs(&src.join("train"));
    put(src.join("train/about/readme.txt"), b"text");
    (1..4).for_each(|number| put(src.join(format!("val/v{number}.JPEG")), &jpeg(40 + number)));
    let file = dir.join("labels.csv");
    put(&file, labels.as_bytes());
    (src, file.to_str().expect("UTF-8").to_owned())
}

#[test]
fn labels_that_are_numbers_are_positions_among_the_classes_of_train() {
    let dir = folder();
    let (src, labels) = flat_val(dir.path(), "v1.JPEG,1\nv2.JPEG,0\nv3.JPEG,1\n");
    let out = dir.path().join("out");
    let outcome = pack(&src, &out, &["--labels", &labels], 0);
    let expected = [("cat", "cat/v2"), ("dog", "dog/v1"), ("dog", "dog/v3")];
    assert_eq!(classes_and_keys(&out, "val"), labelled(&expected));
    assert!(outcome.stderr.contains("0 is cat, 1 is dog"), "{outcome:?}");
    let (archive, again) = (dir.path().join("all.tar"), dir.path().join("again"));
    tar(&archive, dir.path(), &["src"]);
    pack(&archive, &again, &["--labels", &labels], 0);
    assert!(tree(&out) == tree(&again));
}

#[test]
fn labels_that_fit_no_class_of_train_are_refused_and_strange_ones_told() {
    let dir = folder();
    let (src, labels) = flat_val(dir.path(), "v1.JPEG,1\nv2.JPEG,2\n");
    let out = dir.path().join("out");
    let refused = pack(&src, &out, &["--labels", &labels], 2);
    assert!(
        refused
            .stderr
            .contains("val has 1, 2, train has about, cat, dog"),
        "{refused:?}"
    );
    put(&labels, b"v1.JPEG,cat\nv2.JPEG,horse\n");
    let told = pack(&src, &out, &["--labels", &labels], 0);
    assert!(
        told.stderr
            .contains("val has 1 class that train lacks: horse"),
        "{told:?}"
    );
}

#[test]
fn labels_that_are_numbers_are_names_where_train_has_numbers_for_names() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    for class in ["0", "2", "10"] {
        put(src.join(format!("train/{class}/x.JPEG")), &jpeg(1));
    }
    put(src.join("val/v.JPEG"), &jpeg(2));
    let labels = dir.path().join("labels");
    put(&labels, b"v 2\n");
    pack(
        &src,
        &out,
        &["--labels", labels.to_str().expect("UTF-8")],
        0,
    );
    assert_eq!(classes_and_keys(&out, "val"), labelled(&[("2", "2/v")]));
}

#[test]
fn labels_that_nobody_asks_for_are_told() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src);
    let (labels, list) = (dir.path().join("labels"), dir.path().join("list"));
    put(&labels, b"0.JPEG,cat\n");
    put(&list, b"src/cat/0.JPEG\tcat\n");
    let labels = labels.to_str().expect("UTF-8");
    let outcome = pack(&src, &out, &["--labels", labels], 0);
    assert!(
        outcome
            .stderr
            .contains("has no effect: every image lies in"),
        "{outcome:?}"
    );
    let outcome = pack(
        &list,
        &out,
        &["--labels", labels, "--list", "--overwrite"],
        0,
    );
    assert!(
        outcome
            .stderr
            .contains("has no effect: a list has its classes"),
        "{outcome:?}"
    );
}

#[test]
fn a_list_without_line_ends_is_refused_before_it_fills_the_memory() {
    let dir = folder();
    let list = dir.path().join("list");
    put(&list, &vec![b'x'; 3 << 20]);
    let outcome = pack(&list, &dir.path().join("out"), &["--list"], 3);
    assert!(outcome.stderr.contains("longer than 1 MiB"), "{outcome:?}");
}

/// Names that sort differently by bytes, by letters, by key, and by path; and files that are no images.
const ODD_NAMES: [&str; 12] = [
    "n02/b.JPEG",
    "n02/B.jpeg",
    "n02/a10.png",
    "n02/a9.PNG",
    "n02/notes.txt",
    "n02/no-extension",
    "n02/sub/a.JPEG",
    "n02/sub b/a.JPEG",
    "n02/sub/deep/z.JPEG",
    "n01/Zebra.JPEG",
    "n01/\u{e9}.JPEG",
    "N03/list.csv",
];

#[test]
fn an_index_of_a_subset_counts_as_image_folder_of_torchvision_does() {
    let dir = folder();
    let src = dir.path().join("src");
    for (tone, name) in (0..).zip(ODD_NAMES) {
        put(src.join(name), &jpeg(tone));
    }
    put(src.join("N03/one.JPEG"), &jpeg(99));
    let script = "
import sys, torchvision
dataset = torchvision.datasets.ImageFolder(sys.argv[1])
for path, label in dataset.samples:
    print(path[len(sys.argv[1]) + 1:])";
    let printed = Command::new(python())
        .args(["-c", script])
        .arg(&src)
        .output();
    let printed = printed.expect("python runs");
    assert!(printed.status.success(), "{printed:?}");
    let theirs = String::from_utf8(printed.stdout).expect("UTF-8");
    assert_eq!(theirs.lines().count(), 10);
    let archive = dir.path().join("all.tar");
    tar(&archive, dir.path(), &["src"]);
    let subset = dir.path().join("subset");
    for (index, path) in theirs.lines().enumerate() {
        put(&subset, format!("{index}\n").as_bytes());
        for source in [&src, &archive] {
            let out = dir.path().join("out");
            let more = ["--subset", subset.to_str().expect("UTF-8"), "--overwrite"];
            pack(source, &out, &more, 0);
            let keys = classes_and_keys(&out, "train");
            let (class, below) = path.split_once('/').expect("a class");
            let stem = below.rsplit_once('.').expect("an extension").0;
            let key = format!("{class}/{}", stem.replace('/', "%2F"));
            assert_eq!(keys, labelled(&[(class, &key)]), "index {index}");
        }
    }
    put(&subset, b"10\n");
    let more = ["--subset", subset.to_str().expect("UTF-8")];
    pack(&src, &dir.path().join("beyond"), &more, 3);
}

#[test]
fn labels_without_an_image_are_told() {
    let dir = folder();
    let (src, labels) = flat_val(dir.path(), "v1,cat\nv2,cat\nv3,dog\nv4,dog\nv5,dog\n");
    let outcome = pack(&src, &dir.path().join("out"), &["--labels", &labels], 0);
    let told = format!("note: 2 labels of {labels} belong to no image");
    assert!(outcome.stderr.contains(&told), "{outcome:?}");
}

#[test]
fn labels_that_contradict_each_other_are_refused() {
    let dir = folder();
    let (src, labels) = flat_val(
        dir.path(),
        "v1.JPEG,cat\nother/v1.png,cat\nv2.JPEG,dog\nval/v1.JPEG,dog\n",
    );
    let refused = pack(&src, &dir.path().join("out"), &["--labels", &labels], 3);
    assert!(
        refused
            .stderr
            .contains("another class than in a line before: `v1`")
            && refused.stderr.contains("labels.csv line 4"),
        "{refused:?}"
    );
}

#[test]
fn a_folder_of_images_is_no_devkit_by_its_name() {
    let dir = folder();
    let (src, labels) = flat_val(dir.path(), "v1,cat\nv2,cat\nv3,dog\n");
    let photos = dir.path().join("devkit-photos");
    put(photos.join("train/cat/more.JPEG"), &jpeg(7));
    let out = dir.path().join("out");
    let sources = [src.as_path(), &photos].map(|path| path.to_str().expect("UTF-8"));
    pack(&src, &out, &[sources[1], "--labels", &labels], 0);
    let keys = classes_and_keys(&out, "train");
    assert!(keys.iter().any(|(_, key)| key == "cat/more"), "{keys:?}");
}

#[test]
fn labels_and_subsets_that_fit_nothing_are_refused() {
    let dir = folder();
    let (src, labels) = flat_val(dir.path(), "other,cat\n");
    let out = dir.path().join("out");
    let refused = pack(&src, &out, &["--labels", &labels], 3);
    assert!(
        refused.stderr.contains("none of the 3 images"),
        "{refused:?}"
    );
    put(&labels, b"v1,cat\nv2,cat\nv3,dog\n");
    let subset = dir.path().join("subset.txt");
    put(&subset, b"\n");
    let subset = subset.to_str().expect("UTF-8");
    let refused = pack(&src, &out, &["--labels", &labels, "--subset", subset], 3);
    assert!(
        refused.stderr.contains("the subset names no image"),
        "{refused:?}"
    );
}

#[test]
fn lists_as_other_programs_write_them_are_understood() {
    let dir = folder();
    let (src, labels) = flat_val(
        dir.path(),
        "\u{feff}v1.JPEG,cat\n\"v2.JPEG\",\"cat\"\nv3.JPEG,dog\n",
    );
    let subset = dir.path().join("subset.txt");
    put(&subset, "\u{feff}cat/1.JPEG\n".as_bytes());
    let out = dir.path().join("out");
    let more = [
        "--labels",
        &labels,
        "--subset",
        subset.to_str().expect("UTF-8"),
    ];
    pack(&src, &out, &more, 0);
    assert_eq!(
        classes_and_keys(&out, "train"),
        labelled(&[("cat", "cat/1")])
    );
    assert_eq!(
        classes_and_keys(&out, "val"),
        labelled(&[("cat", "cat/v1"), ("cat", "cat/v2"), ("dog", "dog/v3")])
    );
}
