//! The DINO loss against a loop over pairs in double precision.

use tch::Tensor;
use trainer::loss::dino::{DinoLoss, LossConfig};
use trainer::machine::Machine;

use crate::oracle::{Oracle, assert_close};

/// Single against double precision: the largest difference seen is 4e-7 (loss), 2e-6 (gradient).
const TOLERANCE: f64 = 1e-5;

fn check(oracle: &Oracle, case: &str, views: [i64; 2], weights: [f64; 2], global_only: bool) {
    let config = LossConfig {
        num_global: views[0],
        num_local: views[1],
        weights,
        global_only,
        student_temp: 0.1,
        center_momentum: 0.9,
        out_dim: 33,
    };
    let mut loss = DinoLoss::new(config, &Machine::cpu());
    for (step, temp) in oracle
        .values(&format!("{case}/temps"))
        .into_iter()
        .enumerate()
    {
        let get = |what: &str| oracle.get(&format!("{case}/{step}/{what}"));
        let student = get("student").copy().set_requires_grad(true);
        let found = loss
            .forward(&student, get("teacher"), &Tensor::from(temp))
            .total;
        let gradient = Tensor::run_backward(&[&found], &[&student], false, false);
        let what = |part: &str| format!("{case}, step {step}, {part}");
        assert_close(&what("loss"), &found, get("loss"), TOLERANCE);
        assert_close(&what("gradient"), &gradient[0], get("grad"), TOLERANCE);
        assert_close(&what("centre"), loss.center(), get("center"), TOLERANCE);
    }
}

#[test]
fn the_loss_its_gradient_and_the_centre_agree_over_several_steps() {
    let oracle = Oracle::run("train_loss");
    check(&oracle, "sslight", [2, 6], [0.4, 0.6], false);
    check(&oracle, "baseline", [2, 6], [1.0 / 7.0, 6.0 / 7.0], false);
    check(
        &oracle,
        "ten_locals",
        [2, 10],
        [1.0 / 11.0, 10.0 / 11.0],
        false,
    );
    check(&oracle, "global_only", [2, 2], [0.4, 0.6], true);
}
