//! What the keys say of a method: networks, loss, optimiser. The methods themselves know no keys.

use super::job::Job;
use super::raw::RawConfig;
use crate::loss::dino::LossConfig;
use crate::loss::info_nce::InfoNce;
use crate::loss::parts::Weights;
use crate::loss::sinkhorn::Sinkhorn;
use crate::loss::swav::SwavLoss;
use crate::method::MethodConfig;
use crate::method::classifier::{ClassifierConfig, Learns};
use crate::method::dino::DinoConfig;
use crate::method::moco::MocoConfig;
use crate::method::swav::SwavConfig;
use crate::model::backbone::{Arch, BackboneConfig};
use crate::model::head::dino::HeadConfig;
use crate::model::mlp::MlpConfig;
use crate::optim::groups::GroupRules;
use crate::optim::{OptimizerConfig, OptimizerKind};

/// `SSL_METHOD` or `EVAL_METHOD` with all that belongs to it.
pub(super) fn method(raw: &RawConfig) -> MethodConfig {
    if let Some(learns) = learns(raw) {
        return MethodConfig::Classifier(ClassifierConfig {
            backbone: backbone(raw),
            learns,
            optimizer: optimizer(raw),
            lr_factor: raw.float("SOLVER.LR_FACTOR"),
        });
    }
    match raw.method() {
        "SWAV" => MethodConfig::Swav(swav(raw)),
        "MOCO" => MethodConfig::Moco(moco(raw)),
        _ => MethodConfig::Dino(dino(raw)),
    }
}

/// What learns from labels, if anything does.
fn learns(raw: &RawConfig) -> Option<Learns> {
    match raw.job() {
        Job::Pretraining => None,
        Job::Linear => Some(Learns::Linear {
            num_last_blocks: raw.int("VIT.NUM_LAST_BLOCKS"),
        }),
        Job::SemiSupervised => Some(Learns::All {
            num_layers: raw.int("DINOHead.NUM_LAYERS"),
            hidden_dim: raw.int("DINOHead.HIDDEN_SIZE"),
            use_batch_norm: raw.bool("DINOHead.USE_BN_IN_HEAD"),
        }),
    }
}

fn backbone(raw: &RawConfig) -> BackboneConfig {
    let arch = raw.text("MODEL.BACKBONE_ARCH");
    BackboneConfig {
        arch: Arch::named(arch).unwrap_or_else(|| panic!("{arch} is a choice, and not built in")),
        patch_size: raw.int("VIT.PATCH_SIZE"),
        drop_path: match raw.job() {
            Job::Pretraining => raw.float("VIT.DROP_PATH_RATE"),
            Job::Linear | Job::SemiSupervised => 0.0,
        },
    }
}

/// The perceptron that the keys of one section describe.
fn mlp(raw: &RawConfig, section: &str, out_dim: &str) -> MlpConfig {
    let key = |name: &str| format!("{section}.{name}");
    MlpConfig {
        num_layers: raw.int(&key("NUM_LAYERS")),
        hidden_dim: raw.int(&key("HIDDEN_SIZE")),
        out_dim: raw.int(&key(out_dim)),
        use_batch_norm: raw.bool(&key("USE_BN_IN_HEAD")),
    }
}

/// Numbers of global and local views.
fn num_views(raw: &RawConfig) -> [i64; 2] {
    let crops = raw.ints("MULTI_VIEWS_TRANSFORMS.NMB_CROPS");
    [crops[0], crops[1]]
}

fn weights(raw: &RawConfig) -> Weights {
    let weights = raw.floats("MULTI_VIEWS_TRANSFORMS.LAMBDAS");
    [weights[0], weights[1]]
}

fn dino(raw: &RawConfig) -> DinoConfig {
    let [num_global, num_local] = num_views(raw);
    let out_dim = raw.int("DINOHead.OUTPUT_DIM");
    DinoConfig {
        backbone: backbone(raw),
        head: HeadConfig {
            mlp: mlp(raw, "DINOHead", "BOTTLENECK_DIM"),
            out_dim,
            fix_last_norm: raw.bool("DINOHead.NORM_LAST_YEAR"),
        },
        loss: LossConfig {
            num_global,
            num_local,
            weights: weights(raw),
            global_only: raw.bool("DINO.GLOBAL_ONLY"),
            student_temp: raw.float("DINO.STUDENT_TEMP"),
            center_momentum: raw.float("DINO.CENTER_MOMENTUM"),
            out_dim,
        },
        optimizer: optimizer(raw),
        clip_grad: raw.float("SOLVER.CLIP_GRAD"),
        freeze_last_layer_epochs: raw.count("SOLVER.FREEZE_LAST_LAYER"),
    }
}

fn swav(raw: &RawConfig) -> SwavConfig {
    let [num_global, num_local] = num_views(raw);
    let (queue, batch) = (raw.int("SWAV.QUEUE_LENGTH"), raw.int("TRAIN.BATCH_SIZE"));
    SwavConfig {
        backbone: backbone(raw),
        projection: mlp(raw, "SWAV", "OUTPUT_DIM"),
        num_prototypes: raw.int("SWAV.NMB_PROTOTYPES"),
        sinkhorn: Sinkhorn {
            epsilon: raw.float("SWAV.EPSILON"),
            num_iterations: raw.int("SWAV.SINKHORN_ITERATIONS"),
        },
        loss: SwavLoss {
            num_global,
            num_local,
            weights: weights(raw),
            assigned: raw.ints("MULTI_VIEWS_TRANSFORMS.CROPS_FOR_ASSIGN").to_vec(),
            temperature: raw.float("SWAV.TEMPERATURE"),
        },
        queue_length: queue - queue % batch,
        queue_starts: raw.count("SWAV.EPOCH_QUEUE_STARTS"),
        optimizer: optimizer(raw),
        freeze_prototypes_epochs: raw.count("SWAV.FREEZE_PROTOTYPES_EPOCHS"),
    }
}

fn moco(raw: &RawConfig) -> MocoConfig {
    MocoConfig {
        backbone: backbone(raw),
        head: mlp(raw, "MOCO", "OUTPUT_DIM"),
        loss: InfoNce {
            temperature: raw.float("MOCO.TEMPERATURE"),
            weights: weights(raw),
        },
        global_only: raw.bool("MOCO.GLOBAL_ONLY"),
        queue_length: raw.int("MOCO.QUEUE_LENGTH"),
        optimizer: optimizer(raw),
        clip_grad: raw.float("SOLVER.CLIP_GRAD"),
    }
}

fn optimizer(raw: &RawConfig) -> OptimizerConfig {
    OptimizerConfig {
        kind: match raw.text("SOLVER.OPTIMIZING_METHOD") {
            "SGD" => OptimizerKind::Sgd,
            "AdamW" => OptimizerKind::AdamW,
            _ => OptimizerKind::Lars,
        },
        momentum: raw.float("SOLVER.MOMENTUM"),
        nesterov: raw.bool("SOLVER.NESTEROV"),
        groups: GroupRules {
            vector_decay_factor: raw.float("SOLVER.WD_FACTOR_FOR_BIAS"),
            depthwise_decay_factor: raw.float("SOLVER.WD_FACTOR_FOR_DW"),
            exclude_vector: raw.bool("SOLVER.LARS_EXCLUDE_BIAS"),
            exclude_depthwise: raw.bool("SOLVER.LARS_EXCLUDE_DW"),
        },
    }
}
