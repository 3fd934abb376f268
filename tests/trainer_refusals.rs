//! What cannot be run, or not like this, is refused before the first step with what to do.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use crate::harness::{Finished, losses, metrics, packed, run, start, text, tiny_trainer, until};

fn assert_refused(done: &Finished, code: i32, words: &[&str]) {
    assert_eq!(done.code, Some(code), "{}", done.stderr);
    for word in words {
        assert!(done.stderr.contains(word), "`{word}` in: {}", done.stderr);
    }
}

/// A finished run with two checkpoints; returns its shards and its folder.
fn trained(dir: &Path) -> (PathBuf, PathBuf) {
    let (shards, out) = (packed(dir, 2, 4, 32), dir.join("run"));
    let more = ["SOLVER.TOTAL_EPOCHS", "2", "SOLVER.WARMUP_EPOCHS", "0"];
    let done = run("trainer", &tiny_trainer(&shards, &out, &more));
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    (shards, out)
}

const LONGER: [&str; 4] = ["SOLVER.TOTAL_EPOCHS", "3", "SOLVER.WARMUP_EPOCHS", "0"];

#[test]
fn a_damaged_checkpoint_is_refused_and_passed_over_only_on_request() {
    let dir = tempfile::tempdir().unwrap();
    let (shards, out) = trained(dir.path());
    let newest = out.join("checkpoints/step-00000002");
    let tensors = OpenOptions::new()
        .write(true)
        .open(newest.join("state.safetensors"))
        .unwrap();
    tensors.set_len(1000).unwrap();
    let resumed = |how: &str| {
        let more = [&LONGER[..], &[how]].concat();
        run("trainer", &tiny_trainer(&shards, &out, &more))
    };
    let words = [text(&newest), "is damaged", "--resume=auto"];
    assert_refused(&resumed("--resume"), 2, &words);
    let done = resumed("--resume=auto");
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let told = "passed over: the checkpoint is damaged";
    assert!(done.stdout.contains(told), "{}", done.stdout);
    assert!(done.stdout.contains("continuing from"), "{}", done.stdout);
    assert!(done.stdout.contains("step-00000001"), "{}", done.stdout);
    assert_eq!(losses(&out).len(), 3);
}

#[test]
fn a_run_is_continued_only_as_what_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let (shards, out) = trained(dir.path());
    let resume = |out: &Path, more: &[&str]| {
        let more = [&LONGER[..], &["--resume"], more].concat();
        run("trainer", &tiny_trainer(&shards, out, &more))
    };
    let none = resume(&dir.path().join("none"), &[]);
    assert_refused(&none, 2, &["no checkpoint", "leave --resume out"]);
    let other = ["SSL_METHOD", "SWAV", "MODEL.BACKBONE_ARCH", "mobilenet_v2"];
    let words = [
        "SSL_METHOD: saved DINO, now SWAV",
        "MODEL.BACKBONE_ARCH: saved resnet18, now mobilenet_v2",
    ];
    assert_refused(&resume(&out, &other), 2, &words);
}

#[test]
fn a_run_goes_on_with_another_batch_size_after_the_images_that_it_saw() {
    let dir = tempfile::tempdir().unwrap();
    let (shards, out) = (packed(dir.path(), 2, 4, 32), dir.path().join("run"));
    let of_batch = |size: &str, more: &[&str]| {
        let batch = ["TRAIN.BATCH_SIZE", size, "SOLVER.WARMUP_EPOCHS", "0"];
        let one_epoch = ["SOLVER.TOTAL_EPOCHS", "1", "SOLVER.MIN_LR", "0"];
        let more = [&batch[..], &one_epoch, more].concat();
        run("trainer", &tiny_trainer(&shards, &out, &more))
    };
    let half = of_batch("4", &["TRAIN.MAX_STEPS", "1"]);
    assert_eq!(half.code, Some(0), "{}", half.stderr);
    let rest = of_batch("2", &["--resume"]);
    assert_eq!(rest.code, Some(0), "{}", rest.stderr);
    for words in [
        "TRAIN.BATCH_SIZE: saved 4, now 2",
        "the learning rate is 0.500 times what it was",
        "the order of the images stays, 0 of this epoch are seen twice",
    ] {
        assert!(rest.stdout.contains(words), "`{words}` in: {}", rest.stdout);
    }
    let lines = metrics(&out);
    let of = |key: &str| -> Vec<f64> {
        lines
            .iter()
            .map(|line| line[key].as_f64().unwrap())
            .collect()
    };
    assert_eq!(of("step"), [1.0, 2.0, 3.0]);
    // Of half a cosine: its start for four images; its middle and three quarters for two.
    let base = 0.4 / 256.0;
    let cosine = |part: f64| (1.0 + (std::f64::consts::PI * part).cos()) / 2.0;
    let wanted = [
        4.0 * base,
        2.0 * base * cosine(0.5),
        2.0 * base * cosine(0.75),
    ];
    for (lr, wanted) in of("lr").into_iter().zip(wanted) {
        assert!(
            (lr / wanted - 1.0).abs() < 1e-12,
            "{lr} instead of {wanted}"
        );
    }
}

#[test]
fn queues_go_on_around_their_end_where_batches_grow() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 4, 8, 32);
    for method in ["MOCO", "SWAV"] {
        let out = dir.path().join(method);
        let of_batch = |size: &str, more: &[&str]| {
            let queues = ["MOCO.QUEUE_LENGTH", "16", "SWAV.QUEUE_LENGTH", "16"];
            let sizes = [
                "SWAV.NMB_PROTOTYPES",
                "16",
                "SWAV.HIDDEN_SIZE",
                "16",
                "TRAIN.BATCH_SIZE",
                size,
            ];
            let rest = [
                "SSL_METHOD",
                method,
                "SOLVER.TOTAL_EPOCHS",
                "2",
                "SWAV.EPOCH_QUEUE_STARTS",
                "0",
            ];
            let more = [&queues[..], &sizes, &rest, more].concat();
            run("trainer", &tiny_trainer(&shards, &out, &more))
        };
        let first = of_batch("4", &["TRAIN.MAX_STEPS", "3"]);
        assert_eq!(first.code, Some(0), "{}", first.stderr);
        let second = of_batch("8", &["--resume"]);
        assert_eq!(second.code, Some(0), "{method}: {}", second.stderr);
    }
}

#[test]
fn a_folder_has_one_run_and_one_trainer() {
    let dir = tempfile::tempdir().unwrap();
    let (shards, out) = trained(dir.path());
    let again = run("trainer", &tiny_trainer(&shards, &out, &[]));
    assert_refused(&again, 2, &["holds a run", "--resume", "--overwrite"]);
    let endless = ["SOLVER.TOTAL_EPOCHS", "100000", "--overwrite"];
    let first = start("trainer", &tiny_trainer(&shards, &out, &endless));
    until("the first steps", || first.stdout().contains("\nstep 1/"));
    let second = run("trainer", &tiny_trainer(&shards, &out, &["--overwrite"]));
    assert_refused(&second, 2, &[&format!("pid {}", first.pid())]);
}

#[test]
fn settings_that_disagree_are_refused_with_the_nearest_that_do_not() {
    let check = |pairs: &[&str]| {
        let args = [&["--cfg", "configs/demo.yaml", "--check"], pairs].concat();
        run("trainer", &args)
    };
    let moco = ["SSL_METHOD", "MOCO", "TRAIN.BATCH_SIZE", "100"];
    assert_refused(&check(&moco), 2, &["MOCO.QUEUE_LENGTH", "65500"]);
    let several = [
        "SOLVER.WARMUP_EPOCHS",
        "50",
        "MULTI_VIEWS_TRANSFORMS.LOCAL_CROPS_NUMBER",
        "7",
    ];
    let words = ["SOLVER.WARMUP_EPOCHS", "20 or less", "7 local views here"];
    assert_refused(&check(&several), 2, &words);
}

#[test]
fn a_gpu_that_is_not_there_is_an_error_where_it_was_asked_for_and_a_line_where_not() {
    if fs::exists("/proc/driver/nvidia").unwrap() || fs::exists("/dev/nvidiactl").unwrap() {
        println!("skipped: this machine has a driver");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 2, 4, 32);
    let trained = |device: &str| {
        let out = dir.path().join(device);
        let more = ["DEVICE", device, "TRAIN.MAX_STEPS", "1"];
        run("trainer", &tiny_trainer(&shards, &out, &more))
    };
    let words = ["error[5]: ", "no NVIDIA driver", "DEVICE auto or cpu"];
    assert_refused(&trained("cuda"), 5, &words);
    let auto = trained("auto");
    assert_eq!(auto.code, Some(0), "{}", auto.stderr);
    assert!(auto.stdout.contains("device: CPU (no NVIDIA driver"));
}
