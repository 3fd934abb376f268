//! Whole training steps of every method against an independent implementation in double precision.

use std::collections::HashMap;

use tch::{Kind, Tensor};
use trainer::batch::Batch;
use trainer::loss::dino::LossConfig;
use trainer::loss::info_nce::InfoNce;
use trainer::loss::sinkhorn::Sinkhorn;
use trainer::loss::swav::SwavLoss;
use trainer::machine::Machine;
use trainer::method::dino::DinoConfig;
use trainer::method::moco::MocoConfig;
use trainer::method::swav::SwavConfig;
use trainer::method::{Method, MethodConfig, StepRates};
use trainer::model::backbone::{Arch, BackboneConfig};
use trainer::model::head::dino::HeadConfig;
use trainer::model::init::channels_last;
use trainer::model::mlp::MlpConfig;
use trainer::optim::groups::GroupRules;
use trainer::optim::{OptimizerConfig, OptimizerKind, Rates};

use crate::oracle::{Oracle, alone_with_the_generator, difference};

/// Both sides compute in double precision: in single, PyTorch's own two layouts are a percent apart after a step like these. What is left is the
/// order of sums, which every unit near a kink of its activation multiplies: below 1e-8 up to the fourth step, 7e-8 in the fifth of the worst case seen.
const TOLERANCE: f64 = 1e-6;
/// Of the state: AdamW divides a gradient near zero by itself.
const STATE_TOLERANCE: f64 = 1e-5;

pub(crate) const PROBE_CLASSES: Option<i64> = Some(4);
const BATCH: i64 = 8;
const WEIGHTS: [f64; 2] = [0.4, 0.6];

/// Small heads, two global and three local views.
pub(crate) fn config(method: &str, arch: Arch) -> MethodConfig {
    match method {
        "dino" => MethodConfig::Dino(dino(arch)),
        "swav" => MethodConfig::Swav(swav(arch)),
        _ => MethodConfig::Moco(moco(arch)),
    }
}

fn backbone(arch: Arch) -> BackboneConfig {
    BackboneConfig {
        arch,
        patch_size: 16,
        drop_path: 0.0,
    }
}

fn mlp(num_layers: i64, use_batch_norm: bool) -> MlpConfig {
    MlpConfig {
        num_layers,
        hidden_dim: 48,
        out_dim: 24,
        use_batch_norm,
    }
}

fn optimizer(arch: Arch) -> OptimizerConfig {
    OptimizerConfig {
        kind: match arch {
            Arch::VitTiny => OptimizerKind::AdamW,
            _ => OptimizerKind::Lars,
        },
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

fn dino(arch: Arch) -> DinoConfig {
    let is_vit = arch == Arch::VitTiny;
    DinoConfig {
        backbone: backbone(arch),
        head: HeadConfig {
            mlp: mlp(3, !is_vit),
            out_dim: 64,
            fix_last_norm: !is_vit,
        },
        loss: LossConfig {
            num_global: 2,
            num_local: 3,
            weights: WEIGHTS,
            global_only: false,
            student_temp: 0.1,
            center_momentum: 0.9,
            out_dim: 64,
        },
        optimizer: optimizer(arch),
        clip_grad: 0.5,
        freeze_last_layer_epochs: 1,
    }
}

fn swav(arch: Arch) -> SwavConfig {
    SwavConfig {
        backbone: backbone(arch),
        projection: mlp(2, true),
        num_prototypes: 64,
        sinkhorn: Sinkhorn {
            epsilon: 0.05,
            num_iterations: 3,
        },
        loss: SwavLoss {
            num_global: 2,
            num_local: 3,
            weights: WEIGHTS,
            assigned: vec![0, 1],
            temperature: 0.1,
        },
        queue_length: 2 * BATCH,
        queue_starts: 1,
        optimizer: optimizer(arch),
        freeze_prototypes_epochs: 1,
    }
}

fn moco(arch: Arch) -> MocoConfig {
    MocoConfig {
        backbone: backbone(arch),
        head: mlp(2, false),
        loss: InfoNce {
            temperature: 0.2,
            weights: WEIGHTS,
        },
        global_only: false,
        queue_length: 2 * BATCH,
        momentum: 0.9,
        optimizer: optimizer(arch),
        clip_grad: 0.3,
    }
}

pub(crate) fn batch(oracle: &Oracle, step: usize) -> Batch {
    let views = ["global", "local"].map(|which| oracle.get(&format!("views/{step}/{which}")));
    let labels: Vec<i64> = Vec::try_from(oracle.get(&format!("labels/{step}"))).unwrap();
    Batch {
        views_nchw: views.into_iter().map(channels_last).collect(),
        sample_ids: (0..labels.len() as u64).collect(),
        labels,
        epoch: 0,
        step: step as u64,
    }
}

pub(crate) fn restore(model: &mut dyn Method, values: &HashMap<String, Tensor>) {
    let find = |name: &str, shape: &[i64]| {
        let value = values.get(name).ok_or(format!("no {name}"))?;
        assert_eq!(value.size(), shape, "{name}");
        Ok(value.shallow_clone())
    };
    model.restore(&find).unwrap();
}

/// The rates of one step from the script's row of them.
pub(crate) fn step_rates(row: &[f64]) -> StepRates {
    StepRates {
        epoch: row[4] as u64,
        optimizer: Rates {
            lr: row[0],
            weight_decay: row[1],
        },
        momentum: row[2],
        teacher_temp: row[3],
        seed: 0,
    }
}

#[track_caller]
fn assert_equal(what: &str, found: f64, wanted: f64) {
    let relative = (found / wanted - 1.0).abs();
    assert!(relative < TOLERANCE, "{what}: {found} {wanted}");
}

fn check(method: &str, arch: Arch, arch_name: &str) {
    let oracle = Oracle::run_with("train_steps", &[method, arch_name]);
    let mut model = config(method, arch).build(PROBE_CLASSES, &Machine::cpu());
    model.convert(Kind::Double);
    restore(model.as_mut(), &oracle.below("start/"));
    let (rates, losses) = (oracle.values("rates"), oracle.values("losses"));
    let grad_norms = oracle.values("grad_norms");
    for (step, row) in rates.chunks(5).enumerate() {
        let found = model.step(&batch(&oracle, step), step_rates(row)).read();
        let wanted = ["loss", "loss_global", "loss_local", "probe_loss"];
        for (name, wanted) in wanted.into_iter().zip(&losses[4 * step..]) {
            let what = format!("{method} {arch_name}, step {step}, {name}");
            assert_equal(&what, found.get(name).unwrap(), *wanted);
        }
        let norm = found.get("grad_norm").unwrap();
        assert_equal("norm of the gradient", norm, grad_norms[step]);
    }
    compare_state(model.as_ref(), &oracle);
}

fn compare_state(model: &dyn Method, oracle: &Oracle) {
    let (wanted, start) = (oracle.below("end/"), oracle.below("start/"));
    let state = model.state();
    assert_eq!(state.len(), wanted.len(), "the same state");
    let mut worst = (0f64, String::new());
    let mut num_moved = 0;
    for (name, found) in &state {
        let wanted = &wanted[name];
        let off = difference(found, wanted, 1e-6);
        num_moved += usize::from(difference(wanted, &start[name], 1e-6) > 1e-4);
        if off > worst.0 {
            worst = (off, name.clone());
        }
    }
    println!(
        "largest difference {:.1e} in {}, {num_moved} of {} tensors moved",
        worst.0,
        worst.1,
        state.len()
    );
    assert!(worst.0 < STATE_TOLERANCE, "{worst:?}");
    assert!(
        num_moved > state.len() / 2,
        "only {num_moved} tensors moved"
    );
}

#[test]
fn five_steps_of_every_method_follow_an_independent_implementation() {
    let _alone = alone_with_the_generator();
    for method in ["dino", "swav", "moco"] {
        check(method, Arch::MobilenetV2, "mobilenet_v2");
        check(method, Arch::Resnet18, "resnet18");
        check(method, Arch::VitTiny, "vit_tiny");
    }
}
