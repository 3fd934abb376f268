//! A loop that reads a step's numbers after the next one was asked for leaves what one leaves that reads them at once.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use tch::{Device, Kind};
use trainer::batch::Normalizer;
use trainer::checkpoint::{Position, State};
use trainer::collapse::judge::Judge;
use trainer::config::{RawConfig, Resolved, Settings, resolve};
use trainer::failure::Failure;
use trainer::machine::Machine;
use trainer::metrics::Metrics;
use trainer::non_finite::Tolerance;
use trainer::progress::Progress;
use trainer::stop::Stop;
use trainer::train_loop::TrainLoop;
use trainer::training_data::TrainingData;

use crate::oracle::alone_with_the_generator;
use crate::program::metrics;
use crate::replay_files::Files;

fn settings(files: &Files, out: &str, more: &[&str]) -> (RawConfig, Settings) {
    let out = files.out(out);
    let epochs = ["TRAIN.STEPS_PER_EPOCH", "2", "SOLVER.TOTAL_EPOCHS", "3"];
    let output = ["OUTPUT_DIR", out.to_str().unwrap()];
    let pairs = files.pairs(&[&epochs[..], &output, more].concat());
    let pairs: Vec<String> = pairs.iter().map(|word| (*word).to_owned()).collect();
    let text = fs::read_to_string(&files.cfg).unwrap();
    let raw = RawConfig::parse("run.yaml", &text, &pairs).unwrap();
    let Ok(Resolved::Runnable(settings)) = resolve(&raw) else {
        panic!("it can be run")
    };
    (raw, *settings)
}

/// Trains, and returns how that ended and where.
fn trained(
    files: &Files,
    out: &str,
    reads_late: bool,
    more: &[&str],
) -> (Result<(), Failure>, PathBuf) {
    let (raw, settings) = settings(files, out, more);
    fs::create_dir_all(files.out(out).join("checkpoints")).unwrap();
    tch::manual_seed(7);
    let position = Position::default();
    let data = TrainingData::open(&settings, &position, Device::Cpu, &Stop::default()).unwrap();
    let facts = data.batches.facts();
    let steps = facts.steps_per_epoch;
    let mut model = settings
        .method
        .build(Some(facts.num_classes), &Machine::cpu());
    model.learner_mut().guard();
    let mut training = TrainLoop {
        validator: None,
        normalizer: Normalizer::new(&settings.normalization, Device::Cpu, Kind::Float),
        metrics: Metrics::open(&files.out(out), 0).unwrap(),
        progress: Progress::new(6, 0, 20),
        judge: Judge::new(steps),
        tolerance: Tolerance::new(0),
        rates: settings.schedules.by_step(steps),
        state: State {
            position,
            steps_per_epoch: steps,
            probe_classes: Some(facts.num_classes),
            settings: raw.to_map(),
        },
        checkpoints: files.out(out).join("checkpoints"),
        resume_command: String::new(),
        reads_late,
        asked: None,
        settings,
        model,
        batches: data.batches,
        stop: Stop::default(),
    };
    (training.run(), files.out(out))
}

/// Lines without what a clock says.
fn lines(out: &std::path::Path) -> Vec<Value> {
    let mut lines = metrics(out);
    for line in &mut lines {
        let line = line.as_object_mut().unwrap();
        assert!(line.remove("images_per_s").is_some() && line.remove("data_wait_ms").is_some());
    }
    lines
}

#[test]
fn numbers_that_are_read_a_step_late_are_the_same_numbers() {
    let _alone = alone_with_the_generator();
    tch::set_num_threads(1);
    let files = Files::new();
    let (ended, at_once) = trained(&files, "at-once", false, &[]);
    ended.unwrap();
    let (ended, late) = trained(&files, "late", true, &[]);
    ended.unwrap();
    assert_eq!(lines(&at_once).len(), 6);
    assert_eq!(lines(&late), lines(&at_once));
    for epoch in ["step-00000004", "step-00000006"] {
        let state = |out: &PathBuf| {
            fs::read(
                out.join("checkpoints")
                    .join(epoch)
                    .join("state.safetensors"),
            )
        };
        assert!(state(&late).unwrap() == state(&at_once).unwrap(), "{epoch}");
    }
}

#[test]
fn a_loss_that_is_no_number_ends_a_run_that_reads_late_at_the_same_step() {
    let _alone = alone_with_the_generator();
    let files = Files::new();
    let fast = [
        "SOLVER.BASE_LR",
        "1e30",
        "SOLVER.OPTIMIZING_METHOD",
        "SGD",
        "SOLVER.FREEZE_LAST_LAYER",
        "0",
    ];
    let found = [false, true].map(|reads_late| {
        let (ended, out) = trained(&files, &format!("late-{reads_late}"), reads_late, &fast);
        let Err(Failure::NotFinite {
            what, step, report, ..
        }) = ended
        else {
            panic!("{ended:?}")
        };
        let report: Value = serde_json::from_str(&fs::read_to_string(report).unwrap()).unwrap();
        (
            what,
            step,
            lines(&out),
            report["measured"].clone(),
            report["sample_ids"].clone(),
        )
    });
    assert_eq!(found[0], found[1]);
    assert_eq!(found[0].1, found[0].2.len() as u64 + 1);
}
