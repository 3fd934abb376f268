//! Second stage: rules between keys, then typed settings.

use std::path::PathBuf;
use std::time::Duration;

use loader_ipc::Recipe;

use super::keys::Meaning;
use super::problem::{ConfigError, Problem};
use super::raw::RawConfig;
use super::rules;
use super::settings::{
    CheckpointSettings, DeviceChoice, LoaderSettings, ScheduleShape, Schedules, Settings,
    SolverSchedule,
};
use super::views;
use crate::batch::Normalization;
use crate::loss::dino::LossConfig;
use crate::method::dino::DinoConfig;
use crate::model::backbone::Arch;
use crate::model::head::HeadConfig;
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
    let views = views::training(raw);
    let evaluation = views::evaluation(raw);
    for recipe in [&views, &evaluation] {
        let origin = raw.get("MULTI_VIEWS_TRANSFORMS.NMB_CROPS").origin.clone();
        let broken = recipe.violations().into_iter();
        problems.extend(broken.map(|what| Problem::new(origin.clone(), what)));
    }
    if !problems.is_empty() {
        return Err(ConfigError { problems });
    }
    let lacking = lacking(raw);
    Ok(match Arch::named(raw.text("MODEL.BACKBONE_ARCH")) {
        Some(arch) if lacking.is_empty() => {
            Resolved::Runnable(Box::new(settings(raw, arch, views, evaluation)))
        }
        _ => Resolved::Unavailable(lacking),
    })
}

/// What the configuration asks for and this version does not do.
fn lacking(raw: &RawConfig) -> Vec<String> {
    let mut lacking = Vec::new();
    let mut when = |is_lacking: bool, what: String| lacking.extend(is_lacking.then_some(what));
    let [method, arch, stage] =
        ["SSL_METHOD", "MODEL.BACKBONE_ARCH", "STAGE"].map(|key| raw.text(key));
    when(method != "DINO", format!("SSL_METHOD {method}"));
    when(
        Arch::named(arch).is_none(),
        format!("MODEL.BACKBONE_ARCH {arch}"),
    );
    when(stage != "TRAIN", format!("STAGE {stage}"));
    for key in ["N_NODES", "WORLD_SIZE"] {
        let count = raw.int(key);
        when(
            count > 1,
            format!("{key} {count} (training in several processes)"),
        );
    }
    let is_mixed = raw.bool("USE_FP16");
    when(is_mixed, "USE_FP16 True (mixed precision)".to_owned());
    for (key, setting) in raw.changed() {
        if let Meaning::Lacking(what) = key.meaning {
            when(true, format!("{} {} ({what})", key.path, setting.value));
        }
    }
    lacking
}

fn settings(raw: &RawConfig, arch: Arch, views: Recipe, evaluation: Recipe) -> Settings {
    let positive = |key: &str| Some(raw.count(key)).filter(|count| *count > 0);
    Settings {
        data_dir: PathBuf::from(raw.text("DATA.PATH_TO_DATA_DIR")),
        output_dir: PathBuf::from(raw.text("OUTPUT_DIR")),
        seed: raw.count("SEED"),
        device: device(raw),
        log_step: raw.count("LOG_STEP"),
        max_steps: positive("TRAIN.MAX_STEPS"),
        batch_size: raw.count("TRAIN.BATCH_SIZE") as u32,
        val_batch_size: raw.count("VAL.BATCH_SIZE") as u32,
        val_period: positive("VAL.PERIOD"),
        loader: loader(raw),
        views,
        evaluation,
        normalization: normalization(raw),
        dino: dino(raw, arch),
        has_probe: raw.bool("TRAIN.JOINT_LINEAR_PROBE"),
        num_classes: positive("TRAIN.NUM_CLASSES").map(|classes| classes as i64),
        schedules: schedules(raw),
        checkpoint: CheckpointSettings {
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

fn loader(raw: &RawConfig) -> LoaderSettings {
    let socket = raw.text("LOADER.SOCKET");
    let slots = raw.int("LOADER.SLOTS") as u32;
    LoaderSettings {
        socket: (!socket.is_empty()).then(|| PathBuf::from(socket)),
        timeout: Duration::from_secs_f64(raw.float("LOADER.TIMEOUT_S")),
        num_slots: (slots > 0).then_some(slots),
    }
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

fn dino(raw: &RawConfig, arch: Arch) -> DinoConfig {
    let crops = raw.ints("MULTI_VIEWS_TRANSFORMS.NMB_CROPS");
    let weights = raw.floats("MULTI_VIEWS_TRANSFORMS.LAMBDAS");
    DinoConfig {
        arch,
        head: HeadConfig {
            out_dim: raw.int("DINOHead.OUTPUT_DIM"),
            hidden_dim: raw.int("DINOHead.HIDDEN_SIZE"),
            bottleneck_dim: raw.int("DINOHead.BOTTLENECK_DIM"),
            num_layers: raw.int("DINOHead.NUM_LAYERS"),
            use_batch_norm: raw.bool("DINOHead.USE_BN_IN_HEAD"),
            fix_last_norm: raw.bool("DINOHead.NORM_LAST_YEAR"),
        },
        loss: LossConfig {
            num_global: crops[0],
            num_local: crops[1],
            weights: [weights[0], weights[1]],
            global_only: raw.bool("DINO.GLOBAL_ONLY"),
            student_temp: raw.float("DINO.STUDENT_TEMP"),
            center_momentum: raw.float("DINO.CENTER_MOMENTUM"),
            out_dim: raw.int("DINOHead.OUTPUT_DIM"),
        },
        optimizer: optimizer(raw),
        clip_grad: raw.float("SOLVER.CLIP_GRAD"),
        freeze_last_layer_epochs: raw.count("SOLVER.FREEZE_LAST_LAYER"),
        probe_classes: None,
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
            weight_decay: pair("SOLVER.WEIGHT_DECAY", "SOLVER.WEIGHT_DECAY_END"),
            momentum: pair("MODEL.MODEL_MOMENTUM", "MODEL.MODEL_MOMENTUM_END"),
        },
        teacher_temp: TeacherTemperature {
            start: raw.float("DINO.WARMUP_TEACHER_TEMP"),
            end: raw.float("DINO.TEACHER_TEMP"),
            warmup_epochs: raw.count("DINO.WARMUP_TEACHER_TEMP_EPOCHS"),
        },
        total_epochs: raw.count("SOLVER.TOTAL_EPOCHS"),
    }
}
