//! Wires a run together: configuration, device, folder, loader, model, loop. No decision is made here that a test would miss.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use loader_ipc::{Order, StreamInfo, Subscription};

use crate::batch::Normalizer;
use crate::batch_stream::BatchStream;
use crate::checkpoint::{self, CheckpointError, Position, State};
use crate::cli::Cli;
use crate::config::keys::{KEYS, Key};
use crate::config::{RawConfig, Resolved, Settings, resolve};
use crate::curves;
use crate::device::{self, Chosen};
use crate::failure::Failure;
use crate::limits;
use crate::loader_process::Loader;
use crate::method::dino::Dino;
use crate::metrics::Metrics;
use crate::output::{self, show, tell};
use crate::progress::Progress;
use crate::run_dir::{Existing, RunDir};
use crate::stop::Stop;
use crate::train_loop::{RateSchedules, TrainLoop};
use crate::validate::{Split, Validator};

/// Keys that decide the shape of the state: a checkpoint with other values cannot be continued.
const SHAPE_KEYS: [&str; 11] = [
    "SSL_METHOD",
    "MODEL.BACKBONE_ARCH",
    "DINOHead.OUTPUT_DIM",
    "DINOHead.HIDDEN_SIZE",
    "DINOHead.BOTTLENECK_DIM",
    "DINOHead.NUM_LAYERS",
    "DINOHead.USE_BN_IN_HEAD",
    "DINOHead.NORM_LAST_YEAR",
    "SOLVER.OPTIMIZING_METHOD",
    "TRAIN.JOINT_LINEAR_PROBE",
    "TRAIN.BATCH_SIZE",
];

/// Keys that a continued run may change without a word.
const FREE_KEYS: [&str; 6] = [
    "OUTPUT_DIR",
    "LOADER.SOCKET",
    "LOADER.SLOTS",
    "LOADER.TIMEOUT_S",
    "TRAIN.MAX_STEPS",
    "LOG_STEP",
];

/// A checkpoint to continue from.
struct Resume {
    path: PathBuf,
    state: State,
}

/// Runs what the command line asks for.
///
/// # Errors
/// Every way in which a run can end but by finishing.
pub fn run(cli: &Cli) -> Result<(), Failure> {
    if cli.keys {
        return print(&list_of_keys());
    }
    let raw = read_config(cli)?;
    let resolved = resolve(&raw)?;
    if cli.check {
        return print(&checked(&raw, &resolved));
    }
    match resolved {
        Resolved::Runnable(settings) => train(cli, &raw, *settings),
        Resolved::Unavailable(what) => Err(Failure::Usage(format!(
            "not available in this version: {}; {}; this version trains DINO on mobilenet_v2, resnet18, resnet34 and resnet50, in one process, \
             in single precision",
            what.join(", "),
            config_path(cli).display()
        ))),
    }
}

fn config_path(cli: &Cli) -> PathBuf {
    cli.cfg.clone().unwrap_or_default()
}

fn read_config(cli: &Cli) -> Result<RawConfig, Failure> {
    let path = config_path(cli);
    let shown = path.display();
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Failure::Usage(format!(
            "cannot read the configuration: {error}; {shown}; give a YAML file with --cfg"
        ))
    })?;
    Ok(RawConfig::parse(&shown.to_string(), &text, &cli.pairs)?)
}

fn print(text: &str) -> Result<(), Failure> {
    output::print(text).map_err(|error| {
        Failure::Resources(format!(
            "cannot write the result: {error}; standard output; check what it is redirected to"
        ))
    })
}

fn list_of_keys() -> String {
    let line = |key: &Key| format!("{} {} ({})\n", key.path, key.default, key.kind);
    KEYS.iter().map(line).collect()
}

fn checked(raw: &RawConfig, resolved: &Resolved) -> String {
    let notes = raw.notes(raw.method()).into_iter();
    let notes = notes.map(|note| format!("note: {note}\n"));
    let lines = raw.lines().into_iter();
    let lines = lines.map(|(key, value)| format!("{key} {value}\n"));
    let verdict = match resolved {
        Resolved::Runnable(_) => String::new(),
        Resolved::Unavailable(what) => format!(
            "; running it is not available in this version: {}",
            what.join(", ")
        ),
    };
    let verdict = format!("check: the configuration is sound{verdict}\n");
    notes.chain(lines).chain([verdict]).collect()
}

fn train(cli: &Cli, raw: &RawConfig, mut settings: Settings) -> Result<(), Failure> {
    limits::check(device::num_threads())?;
    // Before the device: loading CUDA must find no other thread, and signals must find their handlers.
    device::keep_freed_memory();
    let chosen = device::choose(settings.device)?;
    let stop = Stop::install()?;
    let dir = RunDir::open(&settings.output_dir, existing(cli))?;
    output::log_to(dir.path());
    for note in raw.notes(raw.method()) {
        show!("note: {note}");
    }
    show!("{}, {}", chosen.reason, device::limit_threads());
    save_recipe(&settings, dir.path())?;
    let resume = find_resume(cli, raw, &dir)?;
    let loader = Loader::find(&settings)?;
    show!("{}", loader.line);
    let position = resume
        .as_ref()
        .map_or(Position::default(), |it| it.state.position);
    if position.epoch >= settings.schedules.total_epochs {
        show!("the run is complete; {}", settings.output_dir.display());
        draw_curves(dir.path());
        return Ok(());
    }
    let batches = open_batches(&settings, &loader, &position, &stop)?;
    let info = batches.info().clone();
    show!(
        "data: {} training images of {} classes, {} steps per epoch",
        info.num_samples,
        info.classes.len(),
        info.steps_per_epoch
    );
    settings.dino.probe_classes = probe_classes(&settings, &info)?;
    let model = make_model(&settings, &chosen, resume.as_ref(), info.steps_per_epoch)?;
    let mut training = TrainLoop {
        validator: make_validator(&settings, &loader, &info, &stop)?,
        normalizer: Normalizer::new(&settings.normalization, chosen.device),
        metrics: Metrics::open(dir.path(), position.step)?,
        progress: Progress::new(
            TrainLoop::total_steps(&settings, info.steps_per_epoch),
            position.step,
            settings.log_step,
        ),
        rates: rates(&settings, info.steps_per_epoch),
        state: State {
            position,
            steps_per_epoch: info.steps_per_epoch,
            probe_classes: settings.dino.probe_classes,
            settings: owned_lines(raw),
        },
        checkpoints: dir.checkpoints(),
        resume_command: resume_command(cli),
        settings,
        model,
        batches,
        stop,
    };
    training.run()?;
    show!("checkpoints: {}", dir.checkpoints().display());
    draw_curves(dir.path());
    Ok(())
}

/// Writes the training views as `recipe.json`, for `loader preview --recipe` and for whoever wants to know.
fn save_recipe(settings: &Settings, dir: &Path) -> Result<(), Failure> {
    let path = dir.join("recipe.json");
    let text = serde_json::to_string_pretty(&settings.views).expect("a recipe is plain data");
    std::fs::write(&path, text + "\n").map_err(Failure::io("writing the recipe", &path))
}

fn existing(cli: &Cli) -> Existing {
    match (cli.resume, cli.overwrite) {
        (true, _) => Existing::Resume,
        (_, true) => Existing::Overwrite,
        _ => Existing::Refuse,
    }
}

fn find_resume(cli: &Cli, raw: &RawConfig, dir: &RunDir) -> Result<Option<Resume>, Failure> {
    if !cli.resume {
        return Ok(None);
    }
    let (path, state) = checkpoint::latest(&dir.checkpoints())?;
    compare_settings(&path, &state.settings, &owned_lines(raw))?;
    show!("continuing from {}", path.display());
    Ok(Some(Resume { path, state }))
}

fn owned_lines(raw: &RawConfig) -> BTreeMap<String, String> {
    let lines = raw.lines().into_iter();
    lines.map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Differences in keys that shape the state are refused as a table; the others are told.
fn compare_settings(
    path: &Path,
    then: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
) -> Result<(), Failure> {
    let differs = |key: &&String| then.get(*key) != now.get(*key);
    let row = |key: &String| {
        let value = |side: &BTreeMap<String, String>| side.get(key).cloned().unwrap_or_default();
        format!("  {key}: saved {}, now {}", value(then), value(now))
    };
    let changed: Vec<&String> = now.keys().filter(differs).collect();
    let is_shape = |key: &str| SHAPE_KEYS.contains(&key);
    let fatal: Vec<String> = changed
        .iter()
        .filter(|key| is_shape(key))
        .map(|key| row(key))
        .collect();
    if !fatal.is_empty() {
        return Err(Failure::Usage(format!(
            "the checkpoint is of another run; {}; set these back or choose another OUTPUT_DIR:\n{}",
            path.display(),
            fatal.join("\n")
        )));
    }
    for key in changed {
        if !FREE_KEYS.contains(&key.as_str()) {
            show!("note: changed since the checkpoint:{}", &row(key)[1..]);
        }
    }
    Ok(())
}

fn open_batches(
    settings: &Settings,
    loader: &Loader,
    position: &Position,
    stop: &Stop,
) -> Result<BatchStream, Failure> {
    let subscription = Subscription {
        name: format!("trainer, {}", settings.output_dir.display()),
        split: "train".to_owned(),
        recipe: settings.views.clone(),
        batch_size: settings.batch_size,
        rank: 0,
        world_size: 1,
        seed: settings.seed,
        order: Order::Shuffled,
        start_epoch: position.epoch,
        start_step: position.step_in_epoch,
        num_epochs: settings.schedules.total_epochs - position.epoch,
        num_slots: settings.loader.num_slots,
    };
    let timeout = settings.loader.timeout;
    Ok(BatchStream::open(
        &loader.socket,
        timeout,
        &subscription,
        stop.clone(),
    )?)
}

/// Classes of the probe: as configured, else as many as the data set has.
fn probe_classes(settings: &Settings, info: &StreamInfo) -> Result<Option<i64>, Failure> {
    if !settings.has_probe {
        return Ok(None);
    }
    let found = info.classes.len() as i64;
    if found == 0 {
        let what = "TRAIN.JOINT_LINEAR_PROBE needs labels and the data set has none";
        let shown = settings.data_dir.display();
        return Err(Failure::Data(format!(
            "{what}; {shown}; set TRAIN.JOINT_LINEAR_PROBE False"
        )));
    }
    match settings.num_classes {
        Some(wanted) if wanted < found => Err(Failure::Usage(format!(
            "TRAIN.NUM_CLASSES {wanted} is less than the {found} classes of the data set; {}; leave it out or set {found}",
            settings.data_dir.display()
        ))),
        Some(wanted) => Ok(Some(wanted)),
        None => Ok(Some(found)),
    }
}

fn make_model(
    settings: &Settings,
    chosen: &Chosen,
    resume: Option<&Resume>,
    steps_per_epoch: u64,
) -> Result<Dino, Failure> {
    tch::manual_seed(settings.seed as i64);
    let mut model = Dino::new(settings.dino.clone(), chosen.device);
    show!(
        "model: {} trainable values in the student, {} features",
        model.student().parameters.num_trainable(),
        model.student().width()
    );
    if let Some(Resume { path, state }) = resume {
        if state.steps_per_epoch != steps_per_epoch {
            return Err(Failure::Usage(format!(
                "the checkpoint counts {} steps per epoch, the data set gives {steps_per_epoch}; {}; use the data set the run began with",
                state.steps_per_epoch,
                path.display()
            )));
        }
        let tensors = checkpoint::load(path)?;
        let restored = model.restore(checkpoint::finder(&tensors));
        restored.map_err(|what| CheckpointError::Damaged {
            path: path.clone(),
            what,
        })?;
    }
    Ok(model)
}

fn make_validator(
    settings: &Settings,
    loader: &Loader,
    info: &StreamInfo,
    stop: &Stop,
) -> Result<Option<Validator>, Failure> {
    if settings.val_period.is_none() {
        show!("validation: none (VAL.PERIOD 0)");
        return Ok(None);
    }
    let mut validator = Validator {
        socket: loader.socket.clone(),
        timeout: settings.loader.timeout,
        recipe: settings.evaluation.clone(),
        batch_size: settings.val_batch_size,
        num_slots: settings.loader.num_slots,
        seed: settings.seed,
        num_train: info.num_samples,
        split: Split::Val,
    };
    if let Some(line) = validator.choose_split(stop)? {
        show!("{line}");
    }
    Ok(Some(validator))
}

fn rates(settings: &Settings, steps_per_epoch: u64) -> RateSchedules {
    let schedules = &settings.schedules;
    RateSchedules {
        lr: schedules.lr(steps_per_epoch),
        weight_decay: schedules.weight_decay(steps_per_epoch),
        momentum: schedules.momentum(steps_per_epoch),
    }
}

/// The command line of this run with `--resume`.
fn resume_command(cli: &Cli) -> String {
    let program = std::env::args().next().unwrap_or("trainer".to_owned());
    let mut words = vec![
        program,
        "--cfg".to_owned(),
        config_path(cli).display().to_string(),
    ];
    words.push("--resume".to_owned());
    words.extend(cli.pairs.iter().cloned());
    let quoted = words.iter().map(|word| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:+,".contains(c);
        if !word.is_empty() && word.chars().all(is_plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// The run is done and saved: a picture that cannot be drawn is told and ends nothing.
fn draw_curves(output_dir: &Path) {
    match curves::draw(output_dir) {
        Ok(path) => show!("curves: {}", path.display()),
        Err(failure) => tell!("warning: {failure}"),
    }
}
