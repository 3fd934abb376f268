//! `trainer bench`: the speed of training steps on random views, without any loader or data set.

use std::time::Instant;

use serde::Serialize;
use tch::{Device, Kind, Tensor};

use super::{configuration, machine, result};
use crate::batch::Batch;
use crate::cli::BenchArgs;
use crate::config::Settings;
use crate::device;
use crate::failure::Failure;
use crate::method::{Method, StepRates};
use crate::optim::Rates;
use crate::pass::NUM_BEFORE;
use crate::phases::{self, AVERAGE, BACKWARD, OPTIMISER, Phases};

/// Steps before the first that counts: libtorch chooses its kernels and takes its memory; then a pass may be recorded.
const NUM_WARM_UP: usize = NUM_BEFORE + 1;
/// Classes of the probe where the configuration leaves them to a data set.
const SOME_CLASSES: i64 = 1000;

/// What was measured; seconds are medians over the steps. Phases are of as many steps more, since they wait for a card at both ends.
#[derive(Debug, Serialize)]
struct Measured {
    method: String,
    arch: String,
    device: String,
    threads: usize,
    batch: u32,
    steps: usize,
    s_per_step: f64,
    images_per_s: f64,
    forward_s: f64,
    /// Part of the forward pass where both were recorded.
    backward_s: Option<f64>,
    optimiser_s: f64,
    average_s: f64,
}

/// The seconds of one step.
struct Step {
    whole: f64,
    phases: Phases,
}

/// Measures and prints.
///
/// # Errors
/// When the configuration cannot be run, the device does not work, or the result cannot be written.
pub(super) fn run(args: &BenchArgs) -> Result<(), Failure> {
    let mut config = args.config.clone();
    if let Some(batch) = args.batch {
        config
            .pairs
            .extend(["TRAIN.BATCH_SIZE".to_owned(), batch.to_string()]);
    }
    let raw = configuration::read(&config)?;
    let settings = configuration::runnable(&raw, &config)?;
    device::keep_freed_memory();
    let chosen = device::choose(settings.device)?;
    let machine = machine::of(&settings, &chosen)?;
    device::limit_threads();
    let classes = settings.num_classes.unwrap_or(SOME_CLASSES);
    let classes = settings.needs_classes().then_some(classes);
    tch::manual_seed(settings.seed as i64);
    let mut model = settings.method.build(classes, &machine);
    let batch = random_batch(&settings, chosen.device);
    let steps = args.steps.get();
    let whole = (0..NUM_WARM_UP + steps).map(|_| seconds(model.as_mut(), &batch));
    let whole: Vec<f64> = whole.skip(NUM_WARM_UP).collect();
    let whole = median(&whole, |seconds| *seconds);
    let step = |_| Step::of(model.as_mut(), &batch, chosen.device);
    let taken: Vec<Step> = (0..steps).map(step).collect();
    let of = |phase: &str| median(&taken, |step| step.seconds(phase));
    let measured = Measured {
        method: raw.method().to_owned(),
        arch: raw.to_map()["MODEL.BACKBONE_ARCH"].clone(),
        device: device_name(chosen.device).to_owned(),
        threads: device::num_threads(),
        batch: settings.batch_size,
        steps,
        s_per_step: whole,
        images_per_s: f64::from(settings.batch_size) / whole,
        forward_s: median(&taken, Step::forward),
        backward_s: (!machine.records).then(|| of(BACKWARD)),
        optimiser_s: of(OPTIMISER),
        average_s: of(AVERAGE),
    };
    result::print(&if args.json {
        serde_json::to_string(&measured).expect("plain data") + "\n"
    } else {
        as_text(&measured)
    })
}

impl Step {
    fn of(model: &mut dyn Method, batch: &Batch, device: Device) -> Step {
        let (whole, phases) = phases::recorded(device, || seconds(model, batch));
        Step { whole, phases }
    }

    fn seconds(&self, phase: &str) -> f64 {
        let of_phase = self.phases.iter().filter(|(name, _)| *name == phase);
        of_phase.fold(0.0, |sum, (_, took)| sum + took.as_secs_f64())
    }

    /// All that is no other phase: networks, losses, reading the numbers.
    fn forward(&self) -> f64 {
        let others = self.phases.iter().map(|(_, took)| took.as_secs_f64());
        self.whole - others.sum::<f64>()
    }
}

/// Of a step, until its numbers are read.
fn seconds(model: &mut dyn Method, batch: &Batch) -> f64 {
    let start = Instant::now();
    model.step(batch, rates()).read();
    start.elapsed().as_secs_f64()
}

fn median<T>(steps: &[T], seconds: impl Fn(&T) -> f64) -> f64 {
    let mut sorted: Vec<f64> = steps.iter().map(seconds).collect();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn random_batch(settings: &Settings, device: Device) -> Batch {
    let batch = i64::from(settings.batch_size);
    let views = settings.views.groups().into_iter().map(|group| {
        let (num, size) = (group.num_views as i64 * batch, i64::from(group.size));
        Tensor::randn([num, size, size, 3], (Kind::Float, device)).permute([0, 3, 1, 2])
    });
    Batch {
        views_nchw: views.collect(),
        labels: vec![0; batch as usize],
        sample_ids: (0..batch as u64).collect(),
        epoch: 0,
        step: 0,
    }
}

/// Small enough for random views to stay finite; nothing is frozen.
fn rates() -> StepRates {
    StepRates {
        epoch: 1,
        optimizer: Rates {
            lr: 0.01,
            weight_decay: 1e-6,
        },
        momentum: 0.996,
        teacher_temp: 0.04,
        seed: 0,
    }
}

fn device_name(device: Device) -> &'static str {
    match device {
        Device::Cpu => "cpu",
        _ => "cuda",
    }
}

fn as_text(measured: &Measured) -> String {
    let ms = |seconds: f64| seconds * 1e3;
    let (forward, backward) = match measured.backward_s {
        Some(seconds) => ("forward", format!("backward {:.0} ms, ", ms(seconds))),
        None => ("forward and backward", String::new()),
    };
    format!(
        "{} {}, batch {}, {}, {} threads\n{:.3} s/step, {:.2} images/s (median of {} steps)\n\
         {forward} {:.0} ms, {backward}optimiser {:.1} ms, average {:.1} ms\n",
        measured.method,
        measured.arch,
        measured.batch,
        measured.device,
        measured.threads,
        measured.s_per_step,
        measured.images_per_s,
        measured.steps,
        ms(measured.forward_s),
        ms(measured.optimiser_s),
        ms(measured.average_s)
    )
}
