//! Typed settings: what the rest of the trainer sees of a configuration.

use std::path::PathBuf;
use std::time::Duration;

use loader_ipc::Recipe;

use crate::batch::Normalization;
use crate::checkpoint::Keep;
use crate::method::MethodConfig;
use crate::model::precision::Precision;
use crate::schedule::{RateSchedules, Schedule, TeacherTemperature};

/// A run, fully decided but for what only the data set knows: its classes and the number of steps in an epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Folders of packed shards, which are one data set.
    pub data_dirs: Vec<PathBuf>,
    /// Folder that the run writes to.
    pub output_dir: PathBuf,
    /// Seed of weights, order and views.
    pub seed: u64,
    /// Where to compute.
    pub device: DeviceChoice,
    /// What a network computes in while it learns.
    pub precision: Precision,
    /// Whether a step's passes become a CUDA graph.
    pub records: bool,
    /// Steps between two plain progress lines.
    pub log_step: u64,
    /// Steps after which the run ends early.
    pub max_steps: Option<u64>,
    /// Steps in a row without a finite loss and gradient that are skipped; the next one ends the run.
    pub skip_non_finite: u64,
    /// Whether what looks like collapse ends the run.
    pub stop_on_collapse: bool,
    /// Images per step.
    pub batch_size: u32,
    /// Whether images that fill no batch at the end of an epoch are left out.
    pub drop_last: bool,
    /// A file that lists the training images; else all are.
    pub train_subset: Option<PathBuf>,
    /// A file that lists the images of the validation; else all are.
    pub val_subset: Option<PathBuf>,
    /// Weights to start from.
    pub pre_trained: Option<PathBuf>,
    /// Images per batch of a validation.
    pub val_batch_size: u32,
    /// Epochs between two validations; `None` validates never.
    pub val_period: Option<u64>,
    /// The loader.
    pub loader: LoaderSettings,
    /// Batches from a file in place of a loader's.
    pub replay: Option<ReplaySettings>,
    /// Weights that a new run starts from.
    pub init_weights: Option<PathBuf>,
    /// Training views.
    pub views: Recipe,
    /// Whether only global views are read, so that no others are made.
    pub is_global_only: bool,
    /// The validation view.
    pub evaluation: Recipe,
    /// Mean and standard deviation of pixels.
    pub normalization: Normalization,
    /// The method.
    pub method: MethodConfig,
    /// The method that left the weights to start from, or that is trained (`SSL_METHOD`).
    pub ssl_method: String,
    /// Whether the joint linear probe learns along.
    pub has_probe: bool,
    /// Classes of the probe or the classifier where the configuration says; else the data set does.
    pub num_classes: Option<i64>,
    /// Everything that changes with the step.
    pub schedules: Schedules,
    /// Which checkpoints stay.
    pub checkpoints: Keep,
}

/// `DEVICE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DeviceChoice {
    /// CUDA where it works, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// CUDA or an error.
    Cuda,
}

/// `LOADER.*`.
#[derive(Debug, Clone, PartialEq)]
pub struct LoaderSettings {
    /// The socket, where the configuration names one.
    pub socket: Option<PathBuf>,
    /// Longest wait for a batch or an answer.
    pub timeout: Duration,
    /// Slots of the ring in shared memory; `None` leaves it to the loader.
    pub num_slots: Option<u32>,
}

/// `TRAIN.REPLAY_BATCHES` and `TRAIN.STEPS_PER_EPOCH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplaySettings {
    /// The file of batches.
    pub path: PathBuf,
    /// Steps in an epoch; `None` is as many as the file has.
    pub steps_per_epoch: Option<u64>,
}

/// `SOLVER.*` and `MODEL.MODEL_MOMENTUM*` in epochs, before the number of steps is known.
#[derive(Debug, Clone, PartialEq)]
pub struct SolverSchedule {
    /// Learning rate after the warm-up, for this run's batch size.
    pub base_lr: f64,
    /// Learning rate at the end; does not scale with the batch.
    pub min_lr: f64,
    /// Learning rate of the first step.
    pub start_warmup: f64,
    /// Epochs of warm-up.
    pub warmup_epochs: u64,
    /// What follows.
    pub shape: ScheduleShape,
    /// Whether the learning rate stays as it is at the beginning of an epoch until its end, as in the reference's evaluations.
    pub changes_by_epoch: bool,
    /// First and last weight decay.
    pub weight_decay: [f64; 2],
    /// First and last share of the teacher that stays.
    pub momentum: [f64; 2],
}

/// `SOLVER.SCHEDULER`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScheduleShape {
    /// Half a cosine.
    Cosine,
    /// A tenth at each of these epochs.
    Multistep(Vec<u64>),
}

/// All schedules of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedules {
    /// Those that run by step.
    pub solver: SolverSchedule,
    /// The one that runs by epoch.
    pub teacher_temp: TeacherTemperature,
    /// Epochs of the whole run.
    pub total_epochs: u64,
}

impl Settings {
    /// Where the training data lie, for a person: folders of shards, or a file of batches.
    pub fn shown_data(&self) -> String {
        if let Some(replay) = &self.replay {
            return replay.path.display().to_string();
        }
        let shown = self.data_dirs.iter().map(|dir| dir.display().to_string());
        shown.collect::<Vec<_>>().join(", ")
    }

    /// Whether images must have labels.
    pub fn needs_classes(&self) -> bool {
        self.has_probe || self.method.is_classifier()
    }
}

impl Schedules {
    /// Those that run by step.
    pub fn by_step(&self, steps_per_epoch: u64) -> RateSchedules {
        RateSchedules {
            lr: self.lr(steps_per_epoch),
            weight_decay: self.weight_decay(steps_per_epoch),
            momentum: self.momentum(steps_per_epoch),
        }
    }

    /// Learning rate by step.
    pub fn lr(&self, steps_per_epoch: u64) -> Schedule {
        let SolverSchedule {
            base_lr, min_lr, ..
        } = self.solver;
        let total = self.total_epochs * steps_per_epoch;
        let schedule = match &self.solver.shape {
            ScheduleShape::Cosine => Schedule::cosine(base_lr, min_lr, total),
            ScheduleShape::Multistep(epochs) => {
                let steps = epochs.iter().map(|epoch| epoch * steps_per_epoch).collect();
                Schedule::multistep(base_lr, steps, 0.1, total)
            }
        };
        let warmup_steps = self.solver.warmup_epochs * steps_per_epoch;
        let schedule = schedule.with_warmup(self.solver.start_warmup, warmup_steps);
        if self.solver.changes_by_epoch {
            schedule.held_for(steps_per_epoch)
        } else {
            schedule
        }
    }

    /// Weight decay by step.
    pub fn weight_decay(&self, steps_per_epoch: u64) -> Schedule {
        let [first, last] = self.solver.weight_decay;
        Schedule::cosine(first, last, self.total_epochs * steps_per_epoch)
    }

    /// Teacher momentum by step.
    pub fn momentum(&self, steps_per_epoch: u64) -> Schedule {
        let [first, last] = self.solver.momentum;
        Schedule::cosine(first, last, self.total_epochs * steps_per_epoch)
    }
}
