//! Optimisers against torch.optim and LARS's formula.

use std::collections::HashMap;

use tch::{Device, Kind, Tensor, no_grad};
use trainer::machine::Machine;
use trainer::model::parameters::Parameters;
use trainer::optim::groups::GroupRules;
use trainer::optim::{Optimizer, OptimizerConfig, OptimizerKind, Rates};

use crate::oracle::{Oracle, assert_close};

const NAMES: [&str; 6] = [
    "matrix",
    "dense",
    "depthwise",
    "vector",
    "zeros",
    "last_layer",
];
/// The largest difference seen after five steps is 3e-7.
const TOLERANCE: f64 = 2e-6;

fn start(oracle: &Oracle) -> Parameters {
    let mut parameters = Parameters::new();
    let machine = Machine::cpu();
    let mut scope = parameters.scope(&machine);
    for name in NAMES {
        let _ = scope.trainable(name, oracle.get(&format!("start/{name}")).copy());
    }
    parameters
}

fn config(kind: OptimizerKind) -> OptimizerConfig {
    OptimizerConfig {
        kind,
        momentum: 0.9,
        nesterov: false,
        groups: GroupRules {
            vector_decay_factor: 0.0,
            depthwise_decay_factor: 0.0,
            exclude_vector: true,
            exclude_depthwise: false,
        },
    }
}

fn gradients(oracle: &Oracle, step: usize) -> Vec<Tensor> {
    let named = NAMES.iter().map(|name| format!("grad/{step}/{name}"));
    named.map(|key| oracle.get(&key).copy()).collect()
}

fn check(oracle: &Oracle, kind: OptimizerKind, name: &str, scale: f64) {
    check_as(oracle, config(kind), name, scale, 1.0);
}

/// `matrix` learns `factor` times as fast as the others.
fn check_as(oracle: &Oracle, config: OptimizerConfig, name: &str, scale: f64, factor: f64) {
    let parameters = start(oracle);
    let fresh = || {
        let mut fresh = Optimizer::new(config.clone(), parameters.trainable());
        fresh.scale_lr(factor, |name| name == "matrix");
        fresh
    };
    let mut optimizer = fresh();
    let rates = oracle.values("rates");
    for (step, pair) in rates.chunks(2).enumerate() {
        if step == 3 {
            optimizer = restored(fresh(), &optimizer);
        }
        let rates = Rates {
            lr: pair[0] * scale,
            weight_decay: pair[1],
        };
        let is_frozen = |name: &str| name == "last_layer" && step < 2;
        optimizer.step(&gradients(oracle, step), rates, is_frozen);
        for entry in parameters.trainable() {
            let key = format!("{name}/{step}/{}", entry.name);
            assert_close(&key, &entry.tensor, oracle.get(&key), TOLERANCE);
        }
    }
}

/// The state must survive a checkpoint in the middle.
fn restored(mut new: Optimizer, old: &Optimizer) -> Optimizer {
    let saved: HashMap<String, Tensor> = old.state().into_iter().collect();
    new.restore(|name, _| Ok(saved[name].shallow_clone()))
        .unwrap();
    new
}

#[test]
fn optimisers_agree_with_torch_over_five_steps_with_a_frozen_layer_and_a_restart() {
    let oracle = Oracle::run("train_optim");
    check(&oracle, OptimizerKind::Lars, "LARS", 1.0);
    check(&oracle, OptimizerKind::Sgd, "SGD", 1.0);
    check(&oracle, OptimizerKind::AdamW, "AdamW", 0.1);
    let nesterov = OptimizerConfig {
        nesterov: true,
        ..config(OptimizerKind::Sgd)
    };
    check_as(&oracle, nesterov, "Nesterov", 1.0, 10.0);
    let lars = OptimizerConfig {
        nesterov: true,
        ..config(OptimizerKind::Lars)
    };
    // `SOLVER.NESTEROV` is SGD's alone.
    check_as(&oracle, lars, "LARS", 1.0, 1.0);
    check_clipping(&oracle);
}

/// A convolution's values after one step along themselves, as a gradient in the layout that `lay_out` gives it.
fn moved(kind: OptimizerKind, lay_out: impl Fn(&Tensor) -> Tensor) -> Tensor {
    let values = Tensor::arange(2 * 3 * 4 * 4, (Kind::Float, Device::Cpu)) / 96 - 0.5;
    let values = values.view([2, 3, 4, 4]);
    let mut parameters = Parameters::new();
    let machine = Machine::cpu();
    let _ = parameters.scope(&machine).trainable("conv", values.copy());
    let rates = Rates {
        lr: 0.1,
        weight_decay: 0.01,
    };
    let mut optimizer = Optimizer::new(config(kind), parameters.trainable());
    optimizer.step(&[lay_out(&values)], rates, |_| false);
    parameters.get("conv").unwrap().detach()
}

#[test]
fn a_gradient_in_another_layout_moves_each_value_alike() {
    let channels_last = |t: &Tensor| t.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
    for kind in [
        OptimizerKind::Lars,
        OptimizerKind::Sgd,
        OptimizerKind::AdamW,
    ] {
        let (same, other) = (moved(kind, Tensor::copy), moved(kind, channels_last));
        assert!(same.allclose(&other, 1e-6, 1e-7, false), "{kind:?}");
    }
}

fn check_clipping(oracle: &Oracle) {
    let parameters = start(oracle);
    let optimizer = Optimizer::new(config(OptimizerKind::Sgd), parameters.trainable());
    let mut clipped = gradients(oracle, 0);
    no_grad(|| optimizer.clip(&mut clipped, 3.0, |name| name != "vector"));
    for (name, found) in NAMES.iter().zip(&clipped) {
        let key = match *name {
            "vector" => "grad/0/vector".to_owned(),
            name => format!("clipped/{name}"),
        };
        assert_close(&key, found, oracle.get(&key), TOLERANCE);
    }
}
