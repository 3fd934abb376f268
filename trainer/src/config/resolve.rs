//! Second stage: rules between keys, then typed settings.

use std::path::PathBuf;
use std::time::Duration;

use loader_ipc::Recipe;

use super::job::Job;
use super::keys::Meaning;
use super::problem::{ConfigError, Problem};
use super::raw::RawConfig;
use super::rules;
use super::settings::{
    DeviceChoice, LoaderSettings, ReplaySettings, ScheduleShape, Schedules, Settings,
    SolverSchedule,
};
use super::views;
use crate::batch::Normalization;
use crate::checkpoint::Keep;
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
use crate::model::precision::Precision;
use crate::optim::groups::GroupRules;
use crate::optim::{OptimizerConfig, OptimizerKind};
use crate::schedule::TeacherTemperature;

/// Batch size that `SOLVER.BASE_LR` is given for.
const REFERENCE_BATCH: f64 = 256.0;

/// A sound configuration.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolved {
    /// It can be run.
    Runnable(Box<Settings>),
    /// It asks for what this version does not do; one sentence each.
    Unavailable(Vec<String>),
}

/// Checks the rules between keys and makes typed settings.
///
/// # Errors
/// Every rule that is broken.
pub fn resolve(raw: &RawConfig) -> Result<Resolved, ConfigError> {
    let mut problems = rules::broken(raw);
    let views = match raw.job() {
        Job::Pretraining => views::training(raw),
        Job::Linear | Job::SemiSupervised => views::classification(raw),
    };
    let evaluation = views::evaluation(raw);
    for recipe in [&views, &evaluation] {
        let origin = raw.get(views::COUNTS).origin.clone();
        let broken = recipe.violations().into_iter();
        problems.extend(broken.map(|what| Problem::new(origin.clone(), what)));
    }
    if !problems.is_empty() {
        return Err(ConfigError { problems });
    }
    let lacking = lacking(raw);
    Ok(if lacking.is_empty() {
        Resolved::Runnable(Box::new(settings(raw, views, evaluation)))
    } else {
        Resolved::Unavailable(lacking)
    })
}

/// What the configuration asks for and this version does not do.
fn lacking(raw: &RawConfig) -> Vec<String> {
    let mut lacking = Vec::new();
    let mut when = |is_lacking: bool, what: String| lacking.extend(is_lacking.then_some(what));
    let stage = raw.text("STAGE");
    let told = format!("STAGE {stage} (what is there already is measured by `trainer eval`)");
    when(stage != "TRAIN", told);
    for key in ["N_NODES", "WORLD_SIZE"] {
        let count = raw.int(key);
        when(
            count > 1,
            format!("{key} {count} (training in several processes)"),
        );
    }
    for (key, setting) in raw.changed() {
        if let Meaning::Lacking(what) = key.meaning {
            when(true, format!("{} {} ({what})", key.path, setting.value));
        }
    }
    lacking
}

fn settings(raw: &RawConfig, views: Recipe, evaluation: Recipe) -> Settings {
    let positive = |key: &str| Some(raw.count(key)).filter(|count| *count > 0);
    let path = |key: &str| Some(raw.text(key)).filter(|text| !text.is_empty());
    let path = |key: &str| path(key).map(PathBuf::from);
    let is_pretraining = raw.job() == Job::Pretraining;
    Settings {
        data_dirs: raw
            .texts("DATA.PATH_TO_DATA_DIR")
            .iter()
            .map(PathBuf::from)
            .collect(),
        output_dir: PathBuf::from(raw.text("OUTPUT_DIR")),
        seed: raw.count("SEED"),
        device: device(raw),
        precision: precision(raw),
        log_step: raw.count("LOG_STEP"),
        max_steps: positive("TRAIN.MAX_STEPS"),
        skip_non_finite: raw.count("TRAIN.SKIP_NON_FINITE"),
        stop_on_collapse: raw.bool("TRAIN.STOP_ON_COLLAPSE"),
        batch_size: raw.count("TRAIN.BATCH_SIZE") as u32,
        drop_last: is_pretraining,
        train_subset: path("TRAIN.SUBSET_FILE_PATH"),
        val_subset: path("VAL.SUBSET_FILE_PATH"),
        pre_trained: path("MODEL.PRE_TRAINED_PATH"),
        val_batch_size: raw.count("VAL.BATCH_SIZE") as u32,
        val_period: positive("VAL.PERIOD"),
        loader: loader(raw),
        replay: replay(raw),
        init_weights: raw.path("TRAIN.INIT_WEIGHTS"),
        views,
        is_global_only: raw.is_moco_global_only(),
        evaluation,
        normalization: normalization(raw),
        method: method(raw),
        ssl_method: raw.method().to_owned(),
        has_probe: is_pretraining && raw.bool("TRAIN.JOINT_LINEAR_PROBE"),
        num_classes: positive("TRAIN.NUM_CLASSES").map(|classes| classes as i64),
        schedules: schedules(raw),
        checkpoints: Keep {
            last: raw.count("TRAIN.CHECKPOINTS_KEPT") as usize,
            period_epochs: raw.count("TRAIN.CHECKPOINT_PERIOD"),
        },
    }
}

fn device(raw: &RawConfig) -> DeviceChoice {
    match raw.text("DEVICE") {
        "cpu" => DeviceChoice::Cpu,
        "cuda" => DeviceChoice::Cuda,
        _ => DeviceChoice::Auto,
    }
}

fn precision(raw: &RawConfig) -> Precision {
    match raw.text("TRAIN.PRECISION") {
        _ if raw.job() != Job::Pretraining => Precision::Full,
        _ if raw.bool("USE_FP16") => Precision::Fp16,
        "fp16" => Precision::Fp16,
        "bf16" => Precision::Bf16,
        _ => Precision::Full,
    }
}

fn loader(raw: &RawConfig) -> LoaderSettings {
    let slots = raw.int("LOADER.SLOTS") as u32;
    LoaderSettings {
        socket: raw.path("LOADER.SOCKET"),
        timeout: Duration::from_secs_f64(raw.float("LOADER.TIMEOUT_S")),
        num_slots: (slots > 0).then_some(slots),
    }
}

fn replay(raw: &RawConfig) -> Option<ReplaySettings> {
    let steps = raw.count("TRAIN.STEPS_PER_EPOCH");
    Some(ReplaySettings {
        path: raw.path("TRAIN.REPLAY_BATCHES")?,
        steps_per_epoch: (steps > 0).then_some(steps),
    })
}

fn normalization(raw: &RawConfig) -> Normalization {
    let three = |key: &str| {
        let values = raw.floats(key);
        [values[0], values[1], values[2]]
    };
    Normalization {
        mean: three("DATA.MEAN"),
        std: three("DATA.STD"),
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

fn method(raw: &RawConfig) -> MethodConfig {
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

fn schedules(raw: &RawConfig) -> Schedules {
    let pair = |first: &str, last: &str| [raw.float(first), raw.float(last)];
    let is_pretraining = raw.job() == Job::Pretraining;
    let last_decay = match is_pretraining {
        true => "SOLVER.WEIGHT_DECAY_END",
        false => "SOLVER.WEIGHT_DECAY",
    };
    let milestones = raw.ints("SOLVER.MILESTONES").iter();
    let shape = match raw.text("SOLVER.SCHEDULER") {
        "multistep" => {
            ScheduleShape::Multistep(milestones.map(|epoch| epoch.unsigned_abs()).collect())
        }
        _ => ScheduleShape::Cosine,
    };
    Schedules {
        solver: SolverSchedule {
            base_lr: raw.float("SOLVER.BASE_LR") * raw.int("TRAIN.BATCH_SIZE") as f64
                / REFERENCE_BATCH,
            min_lr: raw.float("SOLVER.MIN_LR"),
            start_warmup: raw.float("SOLVER.START_WARMUP"),
            warmup_epochs: raw.count("SOLVER.WARMUP_EPOCHS"),
            shape,
            changes_by_epoch: !is_pretraining,
            weight_decay: pair("SOLVER.WEIGHT_DECAY", last_decay),
            momentum: match raw.method() {
                "MOCO" => pair("MOCO.MOMENTUM", "MOCO.MOMENTUM"),
                _ => pair("MODEL.MODEL_MOMENTUM", "MODEL.MODEL_MOMENTUM_END"),
            },
        },
        teacher_temp: TeacherTemperature {
            start: raw.float("DINO.WARMUP_TEACHER_TEMP"),
            end: raw.float("DINO.TEACHER_TEMP"),
            warmup_epochs: raw.count("DINO.WARMUP_TEACHER_TEMP_EPOCHS"),
        },
        total_epochs: raw.count("SOLVER.TOTAL_EPOCHS"),
    }
}
