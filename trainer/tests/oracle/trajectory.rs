//! Three whole training steps against an independent implementation.

use std::collections::HashMap;

use tch::{Device, Kind, Tensor};
use trainer::batch::Batch;
use trainer::loss::dino::LossConfig;
use trainer::method::dino::{Dino, DinoConfig};
use trainer::method::{Method, StepRates};
use trainer::model::backbone::{Arch, BackboneConfig};
use trainer::model::head::HeadConfig;
use trainer::model::init::channels_last;
use trainer::optim::groups::GroupRules;
use trainer::optim::{OptimizerConfig, OptimizerKind, Rates};

use crate::oracle::{Oracle, difference};

/// Both sides compute in double precision: in single, PyTorch's own two layouts are a percent apart after a step like these.
/// Rates travel as values of that precision too, so what is left is the order of sums.
const TOLERANCE: f64 = 1e-6;

pub(crate) const PROBE_CLASSES: Option<i64> = Some(4);

/// MobileNetV2 with a small head, three local views.
pub(crate) fn config() -> DinoConfig {
    DinoConfig {
        backbone: BackboneConfig {
            arch: Arch::MobilenetV2,
            patch_size: 16,
            drop_path: 0.0,
        },
        head: HeadConfig {
            out_dim: 64,
            hidden_dim: 48,
            bottleneck_dim: 24,
            num_layers: 3,
            use_batch_norm: true,
            fix_last_norm: true,
        },
        loss: LossConfig {
            num_global: 2,
            num_local: 3,
            weights: [0.4, 0.6],
            global_only: false,
            student_temp: 0.1,
            center_momentum: 0.9,
            out_dim: 64,
        },
        optimizer: OptimizerConfig {
            kind: OptimizerKind::Lars,
            momentum: 0.9,
            groups: GroupRules {
                vector_decay_factor: 0.0,
                depthwise_decay_factor: 0.0,
                exclude_vector: true,
                exclude_depthwise: false,
            },
        },
        clip_grad: 0.0,
        freeze_last_layer_epochs: 1,
    }
}

fn batch(oracle: &Oracle, step: usize) -> Batch {
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

fn restore(model: &mut Dino, values: &HashMap<String, Tensor>) {
    let find = |name: &str, shape: &[i64]| {
        let value = values.get(name).ok_or(format!("no {name}"))?;
        assert_eq!(value.size(), shape, "{name}");
        Ok(value.shallow_clone())
    };
    model.restore(&find).unwrap();
}

#[test]
fn three_steps_follow_an_independent_implementation() {
    let oracle = Oracle::run("train_trajectory");
    let mut model = Dino::new(config(), PROBE_CLASSES, Device::Cpu);
    model.convert(Kind::Double);
    restore(&mut model, &oracle.below("start/"));
    let rates = oracle.values("rates");
    let losses = oracle.values("losses").into_iter();
    let losses: Vec<_> = losses.zip(oracle.values("probe_losses")).collect();
    for (step, row) in rates.chunks(5).enumerate() {
        let rates = StepRates {
            epoch: row[4] as u64,
            optimizer: Rates {
                lr: row[0],
                weight_decay: row[1],
            },
            momentum: row[2],
            teacher_temp: row[3],
            seed: 0,
        };
        let found = model.step(&batch(&oracle, step), rates).read();
        let (loss, probe_loss) = losses[step];
        let relative = (found.loss() / loss - 1.0).abs();
        println!(
            "step {step}: loss {} and {loss}, relative {relative:.1e}",
            found.loss()
        );
        assert!(relative < TOLERANCE, "step {step}: {} {loss}", found.loss());
        let probe = found.get("probe_loss").unwrap();
        assert!(
            (probe / probe_loss - 1.0).abs() < TOLERANCE,
            "step {step}: {probe} {probe_loss}"
        );
    }
    compare_state(&model, &oracle);
}

fn compare_state(model: &Dino, oracle: &Oracle) {
    let (wanted, start) = (oracle.below("end/"), oracle.below("start/"));
    let state = model.state();
    assert_eq!(state.len(), wanted.len(), "the same state");
    let mut worst = (0f64, String::new());
    let mut num_moved = 0;
    for (name, found) in state {
        let off = difference(&found, &wanted[&name], 1e-6);
        num_moved += usize::from(difference(&wanted[&name], &start[&name], 1e-6) > 1e-4);
        if off > worst.0 {
            worst = (off, name);
        }
    }
    println!(
        "largest difference {:.1e} in {}, {num_moved} tensors moved",
        worst.0, worst.1
    );
    assert!(worst.0 < TOLERANCE, "{worst:?}");
    assert!(num_moved > 300, "training moved only {num_moved} tensors");
}
