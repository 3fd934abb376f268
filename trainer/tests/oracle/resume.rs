//! A run that is saved, loaded into a fresh model and continued is the same run, to the bit (CPU, one thread).

use tch::{Device, Kind, Tensor};
use trainer::batch::Batch;
use trainer::checkpoint::{self, Position, State};
use trainer::machine::Machine;
use trainer::method::{Method, MethodConfig, StepRates};
use trainer::model::backbone::Arch;
use trainer::model::precision::Precision;
use trainer::optim::Rates;
use trainer::scaler::Scaler;

use crate::oracle::alone_with_the_generator;
use crate::steps::{PROBE_CLASSES, config};

const BATCH: i64 = 8;

pub(crate) fn batches() -> Vec<Batch> {
    let batch = |step: u64| {
        let views = |num: i64, size: i64| {
            let values = Tensor::randn([num * BATCH, size, size, 3], (Kind::Float, Device::Cpu));
            values.permute([0, 3, 1, 2])
        };
        Batch {
            views_nchw: vec![views(2, 48), views(3, 32)],
            labels: (0..BATCH).map(|image| image % 4).collect(),
            sample_ids: (0..BATCH as u64).collect(),
            epoch: 0,
            step,
        }
    };
    (0..4).map(batch).collect()
}

pub(crate) fn rates(step: u64) -> StepRates {
    StepRates {
        epoch: step,
        optimizer: Rates {
            lr: 0.05 * (step + 1) as f64,
            weight_decay: 1e-3,
        },
        momentum: 0.99,
        teacher_temp: 0.04,
        seed: step as i64,
    }
}

fn train(model: &mut dyn Method, batches: &[Batch]) -> Vec<f64> {
    let steps = batches.iter();
    steps
        .map(|batch| model.step(batch, rates(batch.step)).read().loss())
        .collect()
}

pub(crate) fn fresh(config: &MethodConfig, precision: Precision) -> Box<dyn Method> {
    config.build(PROBE_CLASSES, &Machine::alone(Device::Cpu, precision))
}

fn check(config: &MethodConfig, precision: Precision) {
    let batches = batches();
    let mut whole = fresh(config, precision);
    let mut first_half = fresh(config, precision);
    let start: checkpoint::Tensors = whole
        .state()
        .into_iter()
        .map(|(name, tensor)| (name, tensor.copy()))
        .collect();
    first_half.restore(&checkpoint::finder(&start)).unwrap();

    let wanted = train(whole.as_mut(), &batches);
    let mut found = train(first_half.as_mut(), &batches[..2]);
    let dir = tempfile::tempdir().unwrap();
    let state = State {
        position: Position {
            step: 2,
            epoch: 1,
            step_in_epoch: 0,
            is_validated: false,
        },
        steps_per_epoch: 2,
        probe_classes: PROBE_CLASSES,
        settings: std::collections::BTreeMap::new(),
    };
    let path = checkpoint::save(dir.path(), &state, &first_half.state()).unwrap();
    drop(first_half);
    assert_eq!(
        checkpoint::latest(dir.path()).unwrap(),
        (path.clone(), state)
    );

    let mut second_half = fresh(config, precision);
    let tensors = checkpoint::load(&path).unwrap();
    second_half.restore(&checkpoint::finder(&tensors)).unwrap();
    found.extend(train(second_half.as_mut(), &batches[2..]));
    assert_eq!(found, wanted);
    for ((name, one), (_, other)) in second_half.state().into_iter().zip(whole.state()) {
        assert!(one == other, "{name} differs");
    }
}

#[test]
fn a_resumed_run_of_any_method_is_bit_equal_to_one_that_was_never_stopped() {
    let _alone = alone_with_the_generator();
    tch::set_num_threads(1);
    for method in ["dino", "swav", "moco"] {
        check(&config(method, Arch::MobilenetV2), Precision::Full);
        // In half precision the scale falls in the first step, so it is among what has to come back.
        for precision in [Precision::Full, Precision::Bf16, Precision::Fp16] {
            check(&with_drop_path(config(method, Arch::VitTiny)), precision);
        }
    }
}

#[test]
fn a_run_goes_on_in_another_precision_and_only_the_scale_is_lost_or_new() {
    let _alone = alone_with_the_generator();
    let config = config("moco", Arch::MobilenetV2);
    let of_scale = |model: &dyn Method| {
        let names = model.state().into_iter().map(|(name, _)| name);
        let of_scale = names.filter(|name| {
            name.strip_prefix("optimizer.")
                .is_some_and(Scaler::is_its_own)
        });
        of_scale.count()
    };
    for (then, now) in [
        (Precision::Fp16, Precision::Full),
        (Precision::Full, Precision::Fp16),
    ] {
        let (saved, mut model) = (fresh(&config, then), fresh(&config, now));
        assert_eq!(of_scale(saved.as_ref()) + of_scale(model.as_ref()), 2);
        let state: checkpoint::Tensors = saved.state().into_iter().collect();
        model.restore(&checkpoint::finder(&state)).unwrap();
        for (name, tensor) in model.student().named("student") {
            assert!(tensor == state[&name], "{name}");
        }
    }
}

pub(crate) fn with_drop_path(mut config: MethodConfig) -> MethodConfig {
    let backbone = match &mut config {
        MethodConfig::Dino(config) => &mut config.backbone,
        MethodConfig::Swav(config) => &mut config.backbone,
        MethodConfig::Moco(config) => &mut config.backbone,
        MethodConfig::Classifier(config) => &mut config.backbone,
    };
    backbone.drop_path = 0.3;
    config
}
