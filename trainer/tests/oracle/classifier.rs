//! The recipes of linear and semi-supervised evaluation, step by step against an independent implementation in double precision.

use tch::{Kind, Tensor};
use trainer::batch::Batch;
use trainer::config::{RawConfig, Resolved, Settings, resolve};
use trainer::machine::Machine;
use trainer::method::StepRates;
use trainer::model::init::channels_last;
use trainer::optim::Rates;

use crate::oracle::{Oracle, alone_with_the_generator, assert_close, root};

const CLASSES: i64 = 4;
const STEPS_PER_EPOCH: u64 = 2;
const TOLERANCE: f64 = 1e-7;
/// Five steps multiply what the order of sums leaves.
const STATE_TOLERANCE: f64 = 1e-6;

fn settings(recipe: &str, more: &[&str]) -> Settings {
    let path = root().join("configs").join(recipe);
    let text = std::fs::read_to_string(path).unwrap();
    let small = [
        "TRAIN.BATCH_SIZE",
        "8",
        "SOLVER.TOTAL_EPOCHS",
        "3",
        "SOLVER.LR_FACTOR",
        "3",
    ];
    let pairs: Vec<String> = [&small[..], more]
        .concat()
        .iter()
        .map(ToString::to_string)
        .collect();
    let raw = RawConfig::parse(recipe, &text, &pairs).unwrap();
    match resolve(&raw).unwrap() {
        Resolved::Runnable(settings) => *settings,
        Resolved::Unavailable(what) => panic!("{recipe}: {what:?}"),
    }
}

fn batch(oracle: &Oracle, step: usize) -> Batch {
    let labels: Vec<i64> = Vec::try_from(oracle.get(&format!("labels/{step}"))).unwrap();
    Batch {
        views_nchw: vec![channels_last(oracle.get(&format!("images/{step}")))],
        sample_ids: (0..labels.len() as u64).collect(),
        labels,
        epoch: 0,
        step: step as u64,
    }
}

#[track_caller]
fn assert_equal(what: &str, found: f64, wanted: f64) {
    let relative = (found - wanted).abs() / wanted.abs().max(1e-12);
    assert!(relative < TOLERANCE, "{what}: {found} {wanted}");
}

fn check(case: &str, recipe: &str, more: &[&str]) {
    let oracle = Oracle::run_with("train_classifier", &[case]);
    let settings = settings(recipe, more);
    let mut model = settings.method.build(Some(CLASSES), &Machine::cpu());
    model.convert(Kind::Double);
    let start = oracle.below("start/");
    let state = model.state();
    assert_eq!(state.len(), start.len(), "{case}: the same state");
    let find = |name: &str, _: &[i64]| Ok(start[name].shallow_clone());
    model.restore(&find).unwrap();
    let lr = settings.schedules.lr(STEPS_PER_EPOCH);
    let [wanted_rates, losses] = ["rates", "losses"].map(|key| oracle.values(key));
    let [accuracies, norms] = ["accuracies", "grad_norms"].map(|key| oracle.values(key));
    for (step, wanted) in wanted_rates.iter().enumerate() {
        let rates = StepRates {
            epoch: step as u64 / STEPS_PER_EPOCH,
            optimizer: Rates {
                lr: lr.at(step as u64),
                weight_decay: settings
                    .schedules
                    .weight_decay(STEPS_PER_EPOCH)
                    .at(step as u64),
            },
            momentum: 0.0,
            teacher_temp: 0.0,
            seed: 0,
        };
        let what = |of: &str| format!("{case}, step {step}: {of}");
        assert_equal(&what("rate"), rates.optimizer.lr, *wanted);
        let found = model.step(&batch(&oracle, step), rates).read();
        assert_equal(&what("loss"), found.loss(), losses[step]);
        // It is counted in single precision.
        let off = found.get("accuracy").unwrap() - accuracies[step];
        assert!(
            off.abs() < 1e-3,
            "{case}, step {step}: accuracy off by {off}"
        );
        assert_equal(&what("norm"), found.get("grad_norm").unwrap(), norms[step]);
    }
    let end = oracle.below("end/");
    let mut num_moved = 0;
    for (name, found) in &model.state() {
        assert_close(
            &format!("{case}, {name}"),
            found,
            &end[name],
            STATE_TOLERANCE,
        );
        num_moved += usize::from(end[name] != start[name]);
    }
    let num_learnt = start
        .keys()
        .filter(|name| name.starts_with("optimizer."))
        .count();
    assert!(
        num_moved >= 2 * num_learnt,
        "{case}: {num_moved} tensors moved"
    );
    let scores: Tensor = model.classify(oracle.get("images/0")).unwrap();
    assert_close(case, &scores, oracle.get("evaluated"), STATE_TOLERANCE);
}

#[test]
fn five_steps_of_every_evaluation_follow_an_independent_implementation() {
    let _alone = alone_with_the_generator();
    let mobile = ["MODEL.BACKBONE_ARCH", "mobilenet_v2"];
    check("linear_cnn", "linear/cnn.yaml", &mobile);
    check("linear_vit", "linear/vit.yaml", &[]);
    let narrow = [
        "MODEL.BACKBONE_ARCH",
        "resnet18",
        "DINOHead.HIDDEN_SIZE",
        "48",
    ];
    check("semi", "semi/1percent.yaml", &narrow);
}
