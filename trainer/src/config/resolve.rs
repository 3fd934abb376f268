//! Second stage: rules between keys, then typed settings.

use std::path::PathBuf;
use std::time::Duration;

use loader_ipc::Recipe;

use super::job::Job;
use super::keys::Meaning;
use super::methods;
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
use crate::model::precision::Precision;
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
        method: methods::method(raw),
        ssl_method: raw.method().to_owned(),
        records: is_pretraining && raw.bool("TRAIN.CUDA_GRAPH"),
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
