//! Small methods, their views and rates, for tests that step them.

use std::collections::HashMap;

use tch::Tensor;
use trainer::batch::Batch;
use trainer::loss::dino::LossConfig;
use trainer::loss::info_nce::InfoNce;
use trainer::loss::sinkhorn::Sinkhorn;
use trainer::loss::swav::SwavLoss;
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

use crate::oracle::Oracle;

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
