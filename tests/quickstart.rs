//! `scripts/summary.py`: how long the quickstart's run is, and what it says of the result.

use std::fs;
use std::path::Path;

use crate::harness::{Finished, start_program, text};

fn summary(args: &[&str]) -> Finished {
    start_program("python3", &[&["scripts/summary.py"], args].concat()).finish()
}

/// What a run of so many epochs leaves whose accuracy on 3,925 images went from 30 % to this, over 9,469 images.
fn leave_run(dir: &Path, epochs: u64, knn_top1: f64) {
    fs::create_dir_all(dir.join("run")).unwrap();
    fs::create_dir_all(dir.join("shards")).unwrap();
    let validation = |step: u64, top1: f64| {
        format!(
            r#"{{"epoch":{step},"step":{step},"knn_top1":{top1},"knn_split":"val","knn_samples":3925}}"#
        )
    };
    let step = r#"{"step":1,"epoch":1,"loss":2.0,"images_per_s":100.0}"#;
    let lines = [
        validation(0, 30.0),
        step.to_owned(),
        validation(epochs, knn_top1),
    ];
    fs::write(dir.join("run/metrics.jsonl"), lines.join("\n") + "\n").unwrap();
    let manifest = r#"{"splits":{"train":{"num_samples":9469}}}"#;
    fs::write(dir.join("shards/manifest.json"), manifest).unwrap();
}

#[test]
fn a_change_within_its_sampling_error_comes_with_what_to_do_and_a_larger_one_without() {
    let dir = tempfile::tempdir().unwrap();
    let advice = "The accuracy has not risen";
    for (top1, is_advised) in [(28.0, true), (31.4, true), (31.6, false), (45.0, false)] {
        leave_run(dir.path(), 1, top1);
        let done = summary(&["table", text(dir.path())]);
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        assert!(
            done.stdout.contains(&format!("{top1:.1} %")),
            "{}",
            done.stdout
        );
        assert_eq!(done.stdout.contains(advice), is_advised, "{}", done.stdout);
        let longer = "configs/imagenette/moco.yaml DATA.PATH_TO_DATA_DIR";
        assert_eq!(done.stdout.contains(longer), is_advised, "{}", done.stdout);
    }
}

#[test]
fn what_is_advised_is_longer_than_what_was_run() {
    let dir = tempfile::tempdir().unwrap();
    for (epochs, longer) in [(7, 60), (60, 240)] {
        leave_run(dir.path(), epochs, 30.0);
        let done = summary(&["table", text(dir.path())]);
        let told = format!("SOLVER.TOTAL_EPOCHS {longer} ");
        assert!(done.stdout.contains(&told), "{}", done.stdout);
    }
}

#[test]
fn a_quick_run_is_as_many_epochs_as_fit_and_a_part_of_one_where_the_set_is_large() {
    let dir = tempfile::tempdir().unwrap();
    let planned = |num_samples: u64| {
        let manifest = format!(r#"{{"splits":{{"train":{{"num_samples":{num_samples}}}}}}}"#);
        fs::write(dir.path().join("manifest.json"), manifest).unwrap();
        let done = summary(&["plan", "configs/imagenette/moco.yaml", text(dir.path())]);
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        done.stdout.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let (epochs, warmup) = ("SOLVER.TOTAL_EPOCHS", "SOLVER.WARMUP_EPOCHS");
    assert_eq!(planned(9469), format!("{epochs} 7 {warmup} 1"));
    assert_eq!(
        planned(600),
        format!("{epochs} 60 {warmup} 1"),
        "9 steps each, and 60 at most"
    );
    let large = format!("{epochs} 1 {warmup} 0 TRAIN.MAX_STEPS 1000");
    assert_eq!(planned(1_281_167), large);
}
