//! Training, of a network without labels or of a classifier that tells what it is worth: the same run with another method. Wires it
//! together: device, folder, loader, model, loop. No decision is made here that a test would miss.

use std::path::Path;

use tch::{Device, Kind};

use super::{first_weights, machine, outcome};
use crate::batch::Normalizer;
use crate::batch_source::DataFacts;
use crate::checkpoint::{Position, State};
use crate::cli::RunArgs;
use crate::collapse::judge::Judge;
use crate::config::{RawConfig, Settings};
use crate::curves;
use crate::device;
use crate::failure::Failure;
use crate::limits;
use crate::loader_process::Loader;
use crate::machine::Machine;
use crate::method::Method;
use crate::metrics::Metrics;
use crate::non_finite::Tolerance;
use crate::output::{self, show, tell};
use crate::progress::Progress;
use crate::resume::Resume;
use crate::run_dir::RunDir;
use crate::stop::Stop;
use crate::subset;
use crate::train_loop::TrainLoop;
use crate::training_data::TrainingData;
use crate::validate::{Split, Validator};

/// Trains as these settings say.
///
/// # Errors
/// Every way in which a run can end but by finishing.
pub(super) fn run(cli: &RunArgs, raw: &RawConfig, settings: Settings) -> Result<(), Failure> {
    let stop = Stop::install()?;
    limits::check(device::num_threads())?;
    // Before the device: loading CUDA must find no other thread.
    device::keep_freed_memory();
    let chosen = device::choose(settings.device)?;
    let machine = machine::of(&settings, &chosen)?;
    let dir = RunDir::open(&settings.output_dir, cli.existing())?;
    output::log_to(dir.path());
    for note in raw.notes() {
        show!("note: {note}");
    }
    show!("{}, {}", chosen.reason, device::limit_threads());
    save_recipe(&settings, dir.path())?;
    let resume = cli
        .resume
        .map(|from| Resume::find(&dir.checkpoints(), raw, from));
    let resume = resume.transpose()?;
    let position = resume
        .as_ref()
        .map_or(Position::default(), Resume::position);
    if position.epoch >= settings.schedules.total_epochs {
        show!("the run is complete; {}", settings.output_dir.display());
        return finish(&settings, raw, dir.path());
    }
    let TrainingData { batches, loader } =
        TrainingData::open(&settings, &position, machine.device, &stop)?;
    let facts = batches.facts();
    show!("{}", data_line(&settings, &facts));
    check_last_batch(&settings, &facts)?;
    let num_classes = num_classes(&settings, &facts)?;
    let mut model = make_model(&settings, num_classes, &machine);
    start_or_go_on(&settings, resume.as_ref(), &facts, model.as_mut())?;
    let mut training = TrainLoop {
        validator: make_validator(&settings, &machine, loader.as_ref(), &facts, &stop)?,
        normalizer: Normalizer::new(
            &settings.normalization,
            machine.device,
            machine.precision.kind(),
        ),
        metrics: Metrics::open(dir.path(), position.step)?,
        progress: Progress::new(
            TrainLoop::total_steps(&settings, &position, facts.steps_per_epoch),
            position.step,
            settings.log_step,
        ),
        judge: Judge::new(facts.steps_per_epoch),
        tolerance: Tolerance::new(settings.skip_non_finite),
        rates: settings.schedules.by_step(facts.steps_per_epoch),
        state: State {
            position,
            steps_per_epoch: facts.steps_per_epoch,
            probe_classes: num_classes,
            settings: raw.to_map(),
        },
        checkpoints: dir.checkpoints(),
        resume_command: cli.resume_command(),
        reads_late: may_read_late(&settings, &machine),
        asked: None,
        settings,
        model,
        batches,
        stop,
    };
    training.run()?;
    show!("checkpoints: {}", dir.checkpoints().display());
    finish(&training.settings, raw, dir.path())
}

fn data_line(settings: &Settings, facts: &DataFacts) -> String {
    let unlabelled = match (facts.num_unlabelled, settings.method.is_classifier()) {
        (0, _) => String::new(),
        (num, true) => format!(" ({num} have no label: nothing is learnt from them)"),
        (num, false) => format!(" ({num} have no label)"),
    };
    let DataFacts {
        num_samples,
        num_classes,
        steps_per_epoch,
        ..
    } = facts;
    format!(
        "data: {num_samples} training images{unlabelled} of {num_classes} classes, {steps_per_epoch} steps per epoch"
    )
}

/// The run is over: its picture, and what a classifier reached.
fn finish(settings: &Settings, raw: &RawConfig, dir: &Path) -> Result<(), Failure> {
    draw_curves(dir);
    match settings.method.is_classifier() {
        true => outcome::tell(dir, raw.evaluation()),
        false => Ok(()),
    }
}

/// Writes the training views as `recipe.json`, for `loader preview --recipe` and for whoever wants to know.
fn save_recipe(settings: &Settings, dir: &Path) -> Result<(), Failure> {
    let path = dir.join("recipe.json");
    let text = serde_json::to_string_pretty(&settings.views).expect("a recipe is plain data");
    std::fs::write(&path, text + "\n").map_err(Failure::io("writing the recipe", &path))
}

/// Batch normalisation makes nothing of a single image.
fn check_last_batch(settings: &Settings, facts: &DataFacts) -> Result<(), Failure> {
    let batch = u64::from(settings.batch_size);
    let is_alone = batch > 1 && facts.num_samples % batch == 1;
    if settings.drop_last || !is_alone {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "the last batch of an epoch has one image of {}; {}; change TRAIN.BATCH_SIZE {batch}",
        facts.num_samples,
        settings.shown_data()
    )))
}

/// Classes of the probe or the classifier: as configured, else as many as the data set has.
fn num_classes(settings: &Settings, facts: &DataFacts) -> Result<Option<i64>, Failure> {
    if !settings.needs_classes() {
        return Ok(None);
    }
    let shown = settings.shown_data();
    let found = facts.num_classes;
    if found == 0 {
        let (needing, remedy) = match settings.method.is_classifier() {
            true => ("EVAL_METHOD", "pack it with a folder per class"),
            false => (
                "TRAIN.JOINT_LINEAR_PROBE",
                "set TRAIN.JOINT_LINEAR_PROBE False",
            ),
        };
        return Err(Failure::Data(format!(
            "{needing} needs labels and the data set has none; {shown}; {remedy}"
        )));
    }
    match settings.num_classes {
        Some(wanted) if wanted < found => Err(Failure::Usage(format!(
            "TRAIN.NUM_CLASSES {wanted} is less than the {found} classes of the data set; {shown}; leave it out or set {found}"
        ))),
        Some(wanted) => Ok(Some(wanted)),
        None => Ok(Some(found)),
    }
}

fn make_model(settings: &Settings, num_classes: Option<i64>, machine: &Machine) -> Box<dyn Method> {
    tch::manual_seed(settings.seed as i64);
    let mut model = settings.method.build(num_classes, machine);
    // On the CPU the numbers are there before the update anyway.
    if machine.device == Device::Cpu || settings.skip_non_finite > 0 {
        model.learner_mut().guard();
    }
    show!(
        "model: {} trainable values, {} features",
        model.learner().num_learnt(),
        model.backbone().width()
    );
    model
}

/// On the CPU the numbers are there when a step is done; where one may be skipped, they decide on the next.
fn may_read_late(settings: &Settings, machine: &Machine) -> bool {
    machine.device != Device::Cpu && settings.skip_non_finite == 0
}

/// Brings back what was saved, or what the run is to start from.
fn start_or_go_on(
    settings: &Settings,
    resume: Option<&Resume>,
    facts: &DataFacts,
    model: &mut dyn Method,
) -> Result<(), Failure> {
    if let Some(resume) = resume {
        let given = [
            ("MODEL.PRE_TRAINED_PATH", &settings.pre_trained),
            ("TRAIN.INIT_WEIGHTS", &settings.init_weights),
        ];
        for (key, _) in given.into_iter().filter(|(_, path)| path.is_some()) {
            show!("note: {key} is not read: the run goes on from its checkpoint");
        }
        return resume.restore(model, settings, facts);
    }
    first_weights::give(settings, model)
}

fn make_validator(
    settings: &Settings,
    machine: &Machine,
    loader: Option<&Loader>,
    facts: &DataFacts,
    stop: &Stop,
) -> Result<Option<Validator>, Failure> {
    if settings.val_period.is_none() {
        show!("validation: none (VAL.PERIOD 0)");
        return Ok(None);
    }
    let Some(loader) = loader else {
        show!("validation: none (TRAIN.REPLAY_BATCHES starts no loader that could serve one)");
        return Ok(None);
    };
    let val_subset = settings.val_subset.as_deref();
    let val_subset = val_subset.map(subset::names).transpose()?;
    let mut validator = Validator {
        socket: loader.socket.clone(),
        timeout: settings.loader.timeout,
        recipe: settings.evaluation.clone(),
        subset: val_subset,
        normalizer: Normalizer::new(&settings.normalization, machine.device, Kind::Float),
        batch_size: settings.val_batch_size,
        num_slots: settings.loader.num_slots,
        seed: settings.seed,
        num_train: facts.num_samples,
        split: Split::Val,
    };
    if let Some(line) = validator.choose_split(stop)? {
        show!("{line}");
    }
    Ok(Some(validator))
}

/// The run is done and saved: a picture that cannot be drawn is told and ends nothing.
fn draw_curves(output_dir: &Path) {
    match curves::draw(output_dir) {
        Ok(path) => show!("curves: {}", path.display()),
        Err(failure) => tell!("warning: {failure}"),
    }
}
