//! Weights out of a run and into another: export, import, and a start from what is there.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::{Finished, losses, packed, run, text, tiny_trainer};

const SWAV: [&str; 8] = [
    "SSL_METHOD",
    "SWAV",
    "SWAV.NMB_PROTOTYPES",
    "16",
    "SWAV.HIDDEN_SIZE",
    "16",
    "SWAV.OUTPUT_DIM",
    "8",
];

/// A run of two steps with the smallest backbone.
fn trained(dir: &Path, name: &str, more: &[&str]) -> (PathBuf, Finished) {
    let out = dir.join(name);
    let settings = [
        "MODEL.BACKBONE_ARCH",
        "mobilenet_v2",
        "TRAIN.MAX_STEPS",
        "2",
    ];
    let shards = dir.join("shards");
    let settings = [&settings[..], more].concat();
    let done = run("trainer", &tiny_trainer(&shards, &out, &settings));
    (out, done)
}

fn sound(done: &Finished) -> &str {
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    &done.stdout
}

fn refused(args: &[&str], what: &str) {
    let done = run("trainer", args);
    assert_eq!(done.code, Some(2), "{}", done.stderr);
    assert!(done.stderr.contains(what), "{}", done.stderr);
    assert!(done.stderr.starts_with("error[2]: "), "{}", done.stderr);
}

/// A run, and a file to be written.
fn a_run(dir: &Path) -> (PathBuf, PathBuf) {
    packed(dir, 2, 8, 32);
    let (first, done) = trained(dir, "first", &[]);
    sound(&done);
    (first, dir.join("written.safetensors"))
}

fn written(job: &str, from: &Path, to: &Path, more: &[&str]) -> Finished {
    let args = [&[job, text(from), "--to", text(to)][..], more].concat();
    run("trainer", &args)
}

#[test]
fn an_export_says_what_it_is_and_replaces_nothing_unasked() {
    let dir = tempfile::tempdir().unwrap();
    let (first, student) = a_run(dir.path());
    let told = written("export", &first, &student, &[]);
    let line = "exported 260 tensors of mobilenet_v2 from";
    assert!(sound(&told).contains(line), "{}", told.stdout);
    let before = fs::read(&student).unwrap();
    let header = String::from_utf8_lossy(&before[8..60_000]).into_owned();
    for word in [
        "\"arch\":\"mobilenet_v2\"",
        "\"method\":\"DINO\"",
        "\"which\":\"student\"",
        "\"step\":\"2\"",
        "\"mean\":\"[0.485, 0.456, 0.406]\"",
        "\"layout\":\"torchvision\"",
        "\"features.0.0.weight\":",
    ] {
        assert!(header.contains(word), "{word}");
    }
    let args = ["export", text(&first), "--to", text(&student)];
    refused(&args, "a file already");
    assert!(before == fs::read(&student).unwrap());
    let latest = first.join("checkpoints/latest");
    sound(&written("export", &latest, &student, &["--overwrite"]));
    assert!(before == fs::read(&student).unwrap());
    let teacher = ["--overwrite", "--which", "teacher"];
    sound(&written("export", &first, &student, &teacher));
    assert!(before != fs::read(&student).unwrap());
    let args = [
        "export",
        text(&first),
        "--to",
        "x",
        "--layout",
        "detectron2",
    ];
    refused(&args, "detectron2 has no names for mobilenet_v2");
}

#[test]
fn an_import_lists_every_tensor_and_has_to_be_a_whole_backbone() {
    let dir = tempfile::tempdir().unwrap();
    let (first, whole) = a_run(dir.path());
    let told = written("import", &first, &whole, &[]);
    let shown = sound(&told);
    for line in [
        "took backbone.features.0.0.weight [32, 3, 3, 3] from student.backbone.features.0.0.weight\n",
        "took head.mlp.0.weight [32, 1280] from student.head.mlp.0.weight\n",
        "left out teacher.* (",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
    let wrong = ["import", text(&first), "--to", "x", "--arch", "resnet18"];
    let row = "backbone.layer1.0.conv1.weight [64, 64, 3, 3] is missing";
    refused(&wrong, row);
}

#[test]
fn pre_training_starts_from_a_run_an_export_or_an_import() {
    let dir = tempfile::tempdir().unwrap();
    let (first, whole) = a_run(dir.path());
    let student = dir.path().join("student");
    sound(&written("export", &first, &student, &[]));
    sound(&written("import", &first, &whole, &[]));
    let start = |name: &str, from: &Path, more: &[&str]| {
        let more = [&["MODEL.PRE_TRAINED_PATH", text(from)][..], more].concat();
        trained(dir.path(), name, &more)
    };
    let (again, done) = start("again", &whole, &[]);
    let line = "weights: the backbone and the head; from";
    assert!(sound(&done).contains(line), "{}", done.stdout);
    let (same, done) = start("same", &first, &[]);
    let line = "note: left out optimizer.* (";
    assert!(sound(&done).contains(line), "{}", done.stdout);
    let of = |out: &Path| losses(out);
    assert_eq!(of(&again), of(&same), "the file holds what the run holds");
    assert!(of(&again) != of(&first), "and not fresh weights");
    let (_, done) = start("again", &whole, &["--resume", "TRAIN.MAX_STEPS", "3"]);
    let line = "MODEL.PRE_TRAINED_PATH is not read";
    assert!(sound(&done).contains(line), "{}", done.stdout);
    let (swav, done) = start("swav", &student, &SWAV);
    let line = "the backbone (there is no head; it starts as usual)";
    assert!(sound(&done).contains(line), "{}", done.stdout);
    let args = ["export", text(&swav), "--which", "teacher", "--to", "x"];
    refused(&args, "it holds no teacher");
    let (_, done) = start("other", &whole, &SWAV);
    let line = "(the head starts as usual: ";
    assert!(sound(&done).contains(line), "{}", done.stdout);
    let (_, done) = start("wider", &student, &["MODEL.BACKBONE_ARCH", "resnet18"]);
    assert_eq!(done.code, Some(2), "{}", done.stderr);
    let row = "backbone.features.0.0.weight is not expected";
    assert!(done.stderr.contains(row), "{}", done.stderr);
}

/// Makes the first value of a tensor in a file of safetensors no number.
fn spoil(file: &Path, name: &str) {
    let mut bytes = fs::read(file).unwrap();
    let header_bytes = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + header_bytes]).unwrap();
    let start = header[name]["data_offsets"][0].as_u64().unwrap() as usize;
    let at = 8 + header_bytes + start;
    bytes[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(file, bytes).unwrap();
}

#[test]
fn weights_whose_features_are_no_numbers_are_not_measured() {
    let dir = tempfile::tempdir().unwrap();
    let (first, student) = a_run(dir.path());
    sound(&written("export", &first, &student, &[]));
    spoil(&student, "features.0.0.weight");
    let shards = dir.path().join("shards");
    let done = run(
        "trainer",
        &[
            "eval",
            text(&student),
            "--data",
            text(&shards),
            "--size",
            "32",
        ],
    );
    assert_eq!(done.code, Some(3), "{}", done.stderr);
    for words in ["are no numbers", text(&student)] {
        assert!(done.stderr.contains(words), "{}", done.stderr);
    }
}
