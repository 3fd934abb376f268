//! A run that goes wrong says so: collapse, and losses that are no number.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::harness::{Finished, losses, metrics, packed, run, text, tiny_trainer};

/// Enough steps for two stretches of the watch.
const STEPS: [&str; 2] = ["TRAIN.MAX_STEPS", "100"];
const ENDLESS: [&str; 4] = ["SOLVER.TOTAL_EPOCHS", "100000", "SOLVER.WARMUP_EPOCHS", "0"];

/// No centre and sharp targets. With this seed one prototype is left after 40 steps, so that the second stretch is all collapse, whatever a processor's last bits are.
const COLLAPSING: [&str; 8] = [
    "DINO.CENTER_MOMENTUM",
    "1.0",
    "DINO.TEACHER_TEMP",
    "0.01",
    "DINO.WARMUP_TEACHER_TEMP",
    "0.01",
    "SEED",
    "1",
];

fn trained(dir: &Path, more: &[&str]) -> Finished {
    let shards = packed(dir, 4, 8, 32);
    let out = dir.join("run");
    let more = [&STEPS[..], &ENDLESS, more].concat();
    run("trainer", &tiny_trainer(&shards, &out, &more))
}

fn assert_warned(done: &Finished, words: &[&str]) {
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let warnings = done.stderr.matches("this looks like collapse").count();
    assert_eq!(warnings, 1, "{}", done.stderr);
    for word in words {
        assert!(done.stderr.contains(word), "`{word}` in: {}", done.stderr);
    }
}

#[test]
fn targets_without_a_centre_collapse_onto_one_prototype_and_the_warning_names_the_centre() {
    let dir = tempfile::tempdir().unwrap();
    let done = trained(dir.path(), &COLLAPSING);
    assert_warned(&done, &["one or few prototypes", "DINO.CENTER_MOMENTUM"]);
    let lines = metrics(&dir.path().join("run"));
    let last = lines.last().unwrap();
    assert_eq!(last["prototypes_used"], 1.0);
    assert!(last["feature_std"].as_f64().unwrap() > 0.05, "{last}");
}

#[test]
fn a_run_that_is_to_end_at_a_collapse_saves_and_ends_there_and_goes_on_when_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let more_steps = ["TRAIN.MAX_STEPS", "102"];
    let more = [&ENDLESS[..], &COLLAPSING, &more_steps].concat();
    let (shards, out) = (packed(dir.path(), 4, 8, 32), dir.path().join("run"));
    let args = |stop| {
        let more = [&more[..], &["TRAIN.STOP_ON_COLLAPSE", stop]].concat();
        tiny_trainer(&shards, &out, &more)
    };
    let done = run("trainer", &args("True"));
    assert_eq!(done.code, Some(3), "{}", done.stderr);
    for words in [
        "one or few prototypes",
        "the run ends",
        "looks collapsed at step 100",
        "checkpoints/step-00000100",
        "(--resume)",
    ] {
        assert!(done.stderr.contains(words), "`{words}` in: {}", done.stderr);
    }
    assert_eq!(losses(&out).len(), 100);
    let mut on = args("False");
    on.push("--resume");
    let done = run("trainer", &on);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(losses(&out).len(), 102);
}

#[test]
fn codes_without_contrast_are_uniform_and_the_warning_names_their_epsilon() {
    let dir = tempfile::tempdir().unwrap();
    let swav = [
        "SSL_METHOD",
        "SWAV",
        "SWAV.NMB_PROTOTYPES",
        "64",
        "SWAV.HIDDEN_SIZE",
        "32",
        "SWAV.OUTPUT_DIM",
        "16",
        "SWAV.EPSILON",
        "100",
    ];
    let done = trained(dir.path(), &swav);
    assert_warned(&done, &["uniform over the prototypes", "SWAV.EPSILON"]);
}

/// A rate at which the second step has no finite loss.
const TOO_FAST: [&str; 6] = [
    "SOLVER.BASE_LR",
    "1e30",
    "SOLVER.OPTIMIZING_METHOD",
    "SGD",
    "SOLVER.FREEZE_LAST_LAYER",
    "0",
];

#[test]
fn a_loss_that_is_no_number_ends_the_run_with_a_report_from_which_the_loader_shows_the_views() {
    let dir = tempfile::tempdir().unwrap();
    let done = trained(dir.path(), &TOO_FAST);
    assert_eq!(done.code, Some(3), "{}", done.stderr);
    let out = dir.path().join("run");
    let step = losses(&out).len() + 1;
    let folder = out.join(format!("non-finite/step-{step:08}"));
    let path = folder.join("report.json");
    assert!(done.stderr.contains(text(&path)), "{}", done.stderr);
    assert!(done.stderr.contains("--resume"), "{}", done.stderr);
    let report: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(report["step"], step);
    assert_eq!(report["sample_ids"].as_array().unwrap().len(), 8);
    for norms in ["gradient_norms", "parameter_norms"] {
        let name = "backbone.conv1.weight";
        assert!(!report[norms][name].is_null(), "{norms} of {name}");
    }
    let command = report["show_views"].as_str().unwrap();
    let words: Vec<&str> = command.split_whitespace().collect();
    let shown = run(words[0], &words[1..]);
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    assert_eq!(shown.stdout.matches("sample ").count(), 8);
    assert_eq!(shown.stdout.matches("  view 0: ViewParams").count(), 8);
    assert!(folder.join("views.png").exists());
}

#[test]
fn a_run_skips_as_many_steps_in_a_row_as_it_may_and_then_ends() {
    let dir = tempfile::tempdir().unwrap();
    let skip = ["TRAIN.SKIP_NON_FINITE", "2"];
    let done = trained(dir.path(), &[&TOO_FAST[..], &skip].concat());
    assert_eq!(done.code, Some(3), "{}", done.stderr);
    let skipped = done.stderr.matches("which is skipped").count();
    assert_eq!(skipped, 2, "{}", done.stderr);
    let out = dir.path().join("run");
    let reports = fs::read_dir(out.join("non-finite")).unwrap();
    assert_eq!(reports.count(), 3);
    let lines = metrics(&out);
    let told = lines.iter().map(|line| {
        let loss = line.get("loss").expect("also where it is no number");
        (
            line["step"].as_u64().unwrap(),
            loss.is_number(),
            line["skipped_steps"].as_f64(),
        )
    });
    let last: Vec<_> = told.skip(lines.len() - 3).collect();
    let step = last[0].0;
    assert_eq!(
        last,
        [
            (step, true, Some(0.0)),
            (step + 1, false, Some(1.0)),
            (step + 2, false, Some(2.0))
        ]
    );
    assert!(
        done.stderr.contains("no checkpoint was saved yet"),
        "{}",
        done.stderr
    );
}

#[test]
fn a_run_without_a_finite_loss_names_the_last_checkpoint_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 4, 8, 32);
    let out = dir.path().join("run");
    let well = [&ENDLESS[..], &["TRAIN.MAX_STEPS", "4"]].concat();
    let done = run("trainer", &tiny_trainer(&shards, &out, &well));
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let fast = [
        &ENDLESS[..],
        &[
            "TRAIN.MAX_STEPS",
            "50",
            "--resume",
            "SOLVER.BASE_LR",
            "1e30",
        ],
    ]
    .concat();
    let done = run("trainer", &tiny_trainer(&shards, &out, &fast));
    assert_eq!(done.code, Some(3), "{}", done.stderr);
    let told = format!(
        "then continue from {}",
        text(&out.join("checkpoints/step-00000004"))
    );
    assert!(done.stderr.contains(&told), "{}", done.stderr);
}

#[test]
fn every_value_is_printed_with_the_place_where_it_was_set() {
    let args = ["--cfg", "configs/demo.yaml", "--print-config", "SEED", "7"];
    let done = run("trainer", &args);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    for line in [
        "SEED 7  # command line",
        "TRAIN.BATCH_SIZE 32  # configs/demo.yaml:7:3",
        "DINO.STUDENT_TEMP 0.1  # default",
    ] {
        assert!(done.stdout.lines().any(|shown| shown == line), "{line}");
    }
}
