//! A run whose passes are recorded and replayed is the same run, to the bit: with the stand-in for CUDA graphs, which records on the CPU.

use tch::{Device, Kind, Tensor};
use trainer::batch::Batch;
use trainer::machine::Machine;
use trainer::method::{Method, MethodConfig, StepRates};
use trainer::model::backbone::Arch;
use trainer::model::precision::Precision;
use trainer::optim::Rates;
use trainer::pass::NUM_BEFORE;

use crate::oracle::alone_with_the_generator;
use crate::resume::with_drop_path;
use crate::steps::{PROBE_CLASSES, config};

const BATCH: i64 = 8;
/// Some are computed, one is recorded, and two replays follow.
const STEPS_PER_EPOCH: u64 = NUM_BEFORE as u64 + 3;
const NUM_EPOCHS: u64 = 3;

/// All that may change from step to step does: values, labels and how many are known.
fn batch(step: u64) -> Batch {
    let views = |num: i64, size: i64| {
        let values = Tensor::randn([num * BATCH, size, size, 3], (Kind::Float, Device::Cpu));
        values.permute([0, 3, 1, 2])
    };
    let label = |image| match step % 4 {
        0 => -1,
        known => (image * known as i64 + step as i64) % 5 - 1,
    };
    Batch {
        views_nchw: vec![views(2, 48), views(3, 32)],
        labels: (0..BATCH).map(label).collect(),
        sample_ids: (0..BATCH as u64).collect(),
        epoch: step / STEPS_PER_EPOCH,
        step: step % STEPS_PER_EPOCH,
    }
}

/// The last layer is frozen in the first epoch, SwAV's queue is filled in the second and used in the third.
fn rates(step: u64) -> StepRates {
    let epoch = step / STEPS_PER_EPOCH;
    StepRates {
        epoch,
        optimizer: Rates {
            lr: 0.01 * (step + 1) as f64,
            weight_decay: 1e-3 * step as f64,
        },
        momentum: 0.99 + 0.0005 * step as f64,
        teacher_temp: 0.04 + 0.001 * step as f64,
        seed: 3 * step as i64,
    }
}

fn train(model: &mut dyn Method, batches: &[Batch]) -> Vec<Vec<(&'static str, f64)>> {
    let steps = batches.iter().zip(0..);
    let numbers = steps.map(|(batch, step)| model.step(batch, rates(step)).read().all().collect());
    numbers.collect()
}

fn check(config: &MethodConfig, precision: Precision) {
    let model = |records| {
        tch::manual_seed(5);
        let machine = Machine {
            records,
            ..Machine::alone(Device::Cpu, precision)
        };
        config.build(PROBE_CLASSES, &machine)
    };
    let (mut computed, mut recorded) = (model(false), model(true));
    let batches: Vec<Batch> = (0..NUM_EPOCHS * STEPS_PER_EPOCH).map(batch).collect();
    let found = train(recorded.as_mut(), &batches);
    for (step, (found, wanted)) in found
        .iter()
        .zip(train(computed.as_mut(), &batches))
        .enumerate()
    {
        assert_eq!(found, &wanted, "step {step}, {precision:?}");
    }
    for ((name, one), (_, other)) in recorded.state().into_iter().zip(computed.state()) {
        assert!(one == other, "{name} differs, {precision:?}");
    }
}

#[test]
fn a_recorded_run_of_any_method_is_bit_equal_to_one_that_computes_every_pass() {
    let _alone = alone_with_the_generator();
    tch::set_num_threads(1);
    graph_standin::install();
    for (method, precision) in [
        ("dino", Precision::Bf16),
        ("swav", Precision::Full),
        ("moco", Precision::Fp16),
    ] {
        check(&config(method, Arch::MobilenetV2), Precision::Full);
        check(&with_drop_path(config(method, Arch::VitTiny)), precision);
    }
}
