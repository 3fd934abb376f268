//! Every form in which people have their images.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use image::ImageFormat;
use shard_format::{ImageKind, Manifest, ShardSet};

use crate::harness::{
    Outcome, cats_and_dogs, encoded, folder, jpeg, pack, put, python, repository, shard_tool, tree,
};

/// `(class, key, image)` of every sample, sorted.
fn samples(out: &Path, split: &str) -> Vec<(Option<String>, String, Vec<u8>)> {
    let set = ShardSet::open(out, split).expect("the set opens");
    let sample = |id| {
        let sample = set.sample(id).expect("the sample is there");
        let class = sample
            .label
            .map(|label| set.classes()[label as usize].clone());
        (class, sample.key.to_owned(), sample.image.to_vec())
    };
    let mut samples: Vec<_> = (0..set.num_samples()).map(sample).collect();
    samples.sort();
    samples
}

fn classes_and_keys(out: &Path, split: &str) -> Vec<(Option<String>, String)> {
    samples(out, split)
        .into_iter()
        .map(|(class, key, _)| (class, key))
        .collect()
}

fn labelled(pairs: &[(&str, &str)]) -> Vec<(Option<String>, String)> {
    let owned = |(class, key): &(&str, &str)| (Some((*class).to_owned()), (*key).to_owned());
    pairs.iter().map(owned).collect()
}

/// `tar cf ARCHIVE -C DIR members...`
fn tar(archive: &Path, dir: &Path, members: &[&str]) {
    let status = Command::new("tar")
        .arg("cf")
        .arg(archive)
        .arg("-C")
        .arg(dir)
        .args(members)
        .status();
    assert!(status.expect("tar runs").success());
}

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
fn hdf5_files_of_the_reference_are_streamed_in() {
    let dir = folder();
    let (src, file) = (dir.path().join("src"), dir.path().join("train.h5"));
    cats_and_dogs(&src.join("train"));
    let script = "
import sys, pathlib, h5py, numpy
source = pathlib.Path(sys.argv[1])
with h5py.File(sys.argv[2], 'w') as file:
    for image in sorted(source.glob('*/*')):
        group = file.require_group(image.parent.name)
        group.create_dataset(image.name, data=numpy.frombuffer(image.read_bytes(), dtype='uint8'))";
    let arguments = [src.join("train"), file.clone()];
    let written = Command::new(python())
        .args(["-c", script])
        .args(arguments)
        .status();
    assert!(written.expect("python runs").success());
    let script = repository().join("scripts/hdf5-to-tar");
    let mut stream = Command::new(python())
        .arg(script)
        .arg(&file)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the script starts");
    let packed = Command::new(env!("CARGO_BIN_EXE_shard-tool"))
        .args(["pack", "-", "--out"])
        .arg(dir.path().join("stream"))
        .stdin(stream.stdout.take().expect("a pipe"))
        .output()
        .expect("shard-tool runs");
    assert!(
        packed.status.success() && stream.wait().expect("it ends").success(),
        "{packed:?}"
    );
    pack(&src, &dir.path().join("folders"), &[], 0);
    assert!(tree(&dir.path().join("stream")) == tree(&dir.path().join("folders")));
}

#[test]
fn a_damaged_archive_is_named_with_its_last_good_member() {
    let dir = folder();
    let archive = downloads(dir.path()).join("ILSVRC2012_img_train.tar");
    let bytes = fs::read(&archive).expect("reads");
    let out = dir.path().join("out");
    fs::write(&archive, &bytes[..bytes.len() / 3]).expect("written");
    let cut = pack(&archive, &out, &[], 3);
    assert!(cut.stderr.contains("after member n01440764.tar"), "{cut:?}");
    // The header of the second tar inside.
    let mut broken = bytes.clone();
    let at = bytes
        .windows(13)
        .position(|window| window == b"n02119789.tar")
        .expect("is there");
    broken[at + 150] ^= 0x55;
    fs::write(&archive, &broken).expect("written");
    let broken = pack(&archive, &out, &[], 3);
    assert!(
        broken.stderr.contains("after member n01440764.tar"),
        "{broken:?}"
    );
    assert!(!out.exists());
}

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
        (0..20).for_each(|number| put(src.join(format!("{class}/{number}.JPEG")), &jpeg(number)));
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

#[test]
fn transcoding_changes_what_is_no_ordinary_jpeg_and_nothing_else() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    put(src.join("cat/a.JPEG"), &encoded(9, ImageFormat::Png));
    put(src.join("cat/b.JPEG"), &encoded(9, ImageFormat::Gif));
    put(src.join("cat/c.JPEG"), &jpeg(3));
    pack(&src, &out, &["--transcode"], 0);
    let manifest = Manifest::load(&out).expect("loads");
    assert_eq!(manifest.splits["train"].kinds["jpeg-baseline"], 3);
    assert_eq!(samples(&out, "train")[2].2, jpeg(3));
    let small = dir.path().join("small");
    pack(&src, &small, &["--resize-short", "4"], 0);
    let set = ShardSet::open(&small, "train").expect("opens");
    for id in 0..set.num_samples() {
        let sample = set.sample(id).expect("the sample");
        assert_eq!(
            (sample.kind, sample.width, sample.height),
            (ImageKind::JpegBaseline, 6, 4)
        );
    }
}

#[test]
fn compressed_shards_give_the_samples_of_plain_ones() {
    let dir = folder();
    let (src, plain, small) = (
        dir.path().join("src"),
        dir.path().join("plain"),
        dir.path().join("small"),
    );
    for number in 0..20u8 {
        let mut image = jpeg(number);
        image.extend(vec![number; 30_000]);
        put(src.join(format!("cat/{number}.JPEG")), &image);
    }
    pack(&src, &plain, &[], 0);
    pack(
        &src,
        &small,
        &["--compress", "zstd:9", "--samples-per-shard", "7"],
        0,
    );
    assert_eq!(samples(&small, "train"), samples(&plain, "train"));
    let shard = small.join("train-000001.tar.zst");
    assert!(fs::metadata(&shard).expect("is there").len() < 40_000);
    let check = |code: i32| {
        let outcome = shard_tool(&["verify".as_ref(), small.as_os_str()]);
        assert_eq!(outcome.code, code, "{outcome:?}");
        outcome
    };
    check(0);
    let mut bytes = fs::read(&shard).expect("reads");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x20;
    put(&shard, &bytes);
    assert!(check(3).stdout.contains("train-000001.tar.zst"));
    let outcome = shard_tool(&["stat".as_ref(), small.as_os_str()]);
    assert_eq!(outcome.code, 3, "{outcome:?}");
    assert!(
        outcome.stderr.contains("the compressed shard is damaged"),
        "{outcome:?}"
    );
}

#[test]
fn no_room_to_unpack_is_a_lack_of_resources_and_not_a_damaged_shard() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src);
    pack(&src, &out, &["--compress", "zstd"], 0);
    // The signal for a file beyond the limit is ignored, so that writing fails as on a full disk.
    let line = "trap '' XFSZ; ulimit -f 1; exec \"$0\" stat \"$1\"";
    let mut command = Command::new("sh");
    command.args(["-c", line, env!("CARGO_BIN_EXE_shard-tool")]);
    let outcome: Outcome = command.arg(&out).output().expect("a shell").into();
    assert_eq!(outcome.code, 4, "{outcome:?}");
    for words in ["bytes needed", "free", "TMPDIR", "File too large"] {
        assert!(outcome.stderr.contains(words), "{outcome:?}");
    }
}

#[test]
fn a_dry_run_tells_what_packing_then_does() {
    let dir = folder();
    let (src, out) = (dir.path().join("src"), dir.path().join("out"));
    cats_and_dogs(&src);
    put(src.join("cat/text.JPEG"), b"text");
    let more = ["--dry-run", "--json", "--samples-per-shard", "4"];
    let forecast = pack(&src, &out, &more, 0);
    assert!(!out.exists());
    let forecast: serde_json::Value = serde_json::from_str(&forecast.stdout).expect("JSON");
    let packed = pack(&src, &out, &more[1..], 0);
    let packed: serde_json::Value = serde_json::from_str(&packed.stdout).expect("JSON");
    for field in ["num_samples", "num_shards", "num_bytes"] {
        assert_eq!(
            forecast["splits"]["train"][field], packed["splits"]["train"][field],
            "{field}"
        );
    }
    assert_eq!(forecast["num_skipped"], 1);
}

#[test]
fn several_sources_become_one_set_and_a_name_that_occurs_twice_is_refused() {
    let dir = folder();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    put(one.join("cat/a.JPEG"), &jpeg(1));
    put(two.join("cat/b.JPEG"), &jpeg(2));
    put(two.join("dog/a.JPEG"), &jpeg(3));
    let run = |out: &str| {
        let out = dir.path().join(out);
        let arguments = [
            "pack".as_ref(),
            one.as_os_str(),
            two.as_os_str(),
            "--out".as_ref(),
            out.as_os_str(),
        ];
        (shard_tool(&arguments), out)
    };
    let (outcome, out) = run("out");
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert_eq!(classes_and_keys(&out, "train").len(), 3);
    put(two.join("cat/a.JPEG"), &jpeg(4));
    let (outcome, _) = run("again");
    assert!(
        outcome.code == 3 && outcome.stderr.contains("two/cat/a.JPEG"),
        "{outcome:?}"
    );
}
