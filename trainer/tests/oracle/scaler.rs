//! Loss scaling against PyTorch's `GradScaler`: the same scales, the same steps skipped.

use tch::Tensor;
use trainer::batch::Batch;
use trainer::learner::{Learner, Lesson};
use trainer::machine::Machine;
use trainer::model::parameters::Parameters;
use trainer::model::precision::Precision;
use trainer::optim::groups::GroupRules;
use trainer::optim::{OptimizerConfig, OptimizerKind, Rates};
use trainer::pass::{Forward, Inputs};
use trainer::scalars::Scalars;

use crate::oracle::Oracle;

/// The script's.
const RATES: Rates = Rates {
    lr: 0.001,
    weight_decay: 0.0,
};

fn learner(parameters: &Parameters, machine: &Machine) -> Learner {
    let plain = OptimizerConfig {
        kind: OptimizerKind::Sgd,
        momentum: 0.0,
        nesterov: false,
        groups: GroupRules {
            vector_decay_factor: 0.0,
            depthwise_decay_factor: 0.0,
            exclude_vector: true,
            exclude_depthwise: true,
        },
    };
    Learner::new(plain, 0.0, parameters, None, machine)
}

fn learn(learner: &mut Learner, loss: Tensor) -> Scalars {
    let batch = Batch {
        views_nchw: Vec::new(),
        labels: Vec::new(),
        sample_ids: Vec::new(),
        epoch: 0,
        step: 0,
    };
    let lesson = Lesson {
        batch: &batch,
        forward: |_: &Inputs| Forward::of_loss(loss.shallow_clone()),
        numbers: &[],
        way: false,
        rates: RATES,
        frozen: None,
    };
    learner.learn(lesson).stats.read()
}

#[test]
fn scales_grow_and_fall_and_steps_are_skipped_as_by_pytorchs_scaler() {
    let oracle = Oracle::run("train_scaler");
    let machine = Machine {
        precision: Precision::Fp16,
        ..Machine::cpu()
    };
    let mut parameters = Parameters::new();
    let weight = parameters
        .scope(&machine)
        .trainable("weight", Tensor::from(1f32));
    let mut learner = learner(&parameters, &machine);
    let (coefficients, scales) = (oracle.values("coefficients"), oracle.values("scales"));
    let mut num_skipped = 0;
    for (step, wanted) in oracle.values("weights").into_iter().enumerate() {
        let found = learn(&mut learner, &weight * coefficients[step]);
        assert_eq!(found.get("loss_scale"), Some(scales[step]), "step {step}");
        let weight = weight.double_value(&[]);
        assert!(
            (weight - wanted).abs() < 1e-6 * wanted.abs(),
            "step {step}: {weight} {wanted}"
        );
        num_skipped += found.get("step_skipped").unwrap() as u64;
    }
    assert_eq!(num_skipped, 7);
    assert!(scales.windows(2).any(|pair| pair[1] > pair[0]), "it grew");
}
