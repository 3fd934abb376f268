//! A step whose loss or gradient is no number: what it left is put back where the run may go on, and what is known of it is written down.
//!
//! The learner leaves network and optimiser alone ([`crate::learner::Learner::guard`]); what a step changes beside them is copied before
//! it: running statistics, the teacher, the centre, queues.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use tch::{Tensor, no_grad};

use crate::batch::Batch;
use crate::config::Settings;
use crate::failure::Failure;
use crate::method::Method;
use crate::metrics::StepLine;
use crate::scalars::Scalars;

/// The folder of reports in that of a run.
pub const FOLDER: &str = "non-finite";
const REPORT: &str = "report.json";

/// How many such steps a run survives (`TRAIN.SKIP_NON_FINITE`).
#[derive(Debug)]
pub struct Tolerance {
    most_in_a_row: u64,
    in_a_row: u64,
    num_skipped: u64,
}

impl Tolerance {
    /// Of so many steps in a row; 0 is none at all.
    pub fn new(most_in_a_row: u64) -> Tolerance {
        Tolerance {
            most_in_a_row,
            in_a_row: 0,
            num_skipped: 0,
        }
    }

    /// Whether one more may be skipped.
    pub fn has_room(&self) -> bool {
        self.in_a_row < self.most_in_a_row
    }

    /// Counts a skipped step.
    pub fn skip(&mut self) {
        self.in_a_row += 1;
        self.num_skipped += 1;
    }

    /// A step was well.
    pub fn go_on(&mut self) {
        self.in_a_row = 0;
    }

    /// Steps that were skipped since the start, where any may be.
    pub fn num_skipped(&self) -> Option<u64> {
        (self.most_in_a_row > 0).then_some(self.num_skipped)
    }
}

/// What a step changes beside the network and its optimiser, as it was.
#[derive(Debug)]
pub struct Before(Vec<(Tensor, Tensor)>);

impl Before {
    /// Copies it.
    pub fn of(model: &dyn Method) -> Before {
        let tensors = model.tensors().into_iter().map(|(_, tensor)| tensor);
        let others = tensors.filter(|tensor| !tensor.requires_grad());
        Before(others.map(|now| (now.copy(), now)).collect())
    }

    /// Puts it back.
    pub fn restore(self) {
        no_grad(|| {
            for (before, mut now) in self.0 {
                now.copy_(&before);
            }
        });
    }
}

/// Writes `non-finite/step-N/report.json`: losses and rates, which images they were and how to see their views, norms by name.
///
/// # Errors
/// When it cannot be written.
pub fn report(
    settings: &Settings,
    model: &dyn Method,
    batch: &Batch,
    line: &StepLine,
    values: &Scalars,
) -> Result<PathBuf, Failure> {
    let folder = settings
        .output_dir
        .join(FOLDER)
        .join(format!("step-{:08}", line.step));
    let path = folder.join(REPORT);
    let value = json!({
        "step": line.step,
        "epoch": line.epoch,
        "measured": numbers(values.all().map(|(name, value)| (name.to_owned(), value))),
        "rates": {
            "lr": line.lr,
            "weight_decay": line.weight_decay,
            "momentum": line.momentum,
            "teacher_temp": line.teacher_temp,
        },
        "seed": settings.seed,
        "sample_ids": batch.sample_ids,
        "labels": batch.labels,
        "views": settings.views,
        "show_views": preview_command(settings, batch, &folder),
        "replayed": settings.replay.as_ref().map(|replay| &replay.path),
        "gradient_norms": numbers(model.learner().gradient_norms()),
        "parameter_norms": numbers(parameter_norms(model)),
    });
    let text = serde_json::to_string_pretty(&value).expect("names and numbers") + "\n";
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&path, text))
        .map_err(Failure::io("writing what is known of the step", &path))?;
    Ok(path)
}

/// The views are a function of seed, epoch, sample and recipe: the loader draws them again.
///
/// Where the views lie in a file of batches there is no command.
fn preview_command(settings: &Settings, batch: &Batch, folder: &Path) -> Option<String> {
    if settings.replay.is_some() {
        return None;
    }
    let data_dirs = settings
        .data_dirs
        .iter()
        .map(|dir| dir.display().to_string());
    let data_dirs: Vec<String> = data_dirs.collect();
    let ids: Vec<String> = batch.sample_ids.iter().map(u64::to_string).collect();
    Some(format!(
        "loader preview {} --recipe {} --seed {} --epoch {} --ids {} --out {}",
        data_dirs.join(" "),
        settings.output_dir.join("recipe.json").display(),
        settings.seed,
        batch.epoch,
        ids.join(","),
        folder.join("views.png").display()
    ))
}

fn parameter_norms(model: &dyn Method) -> impl Iterator<Item = (String, f64)> + '_ {
    let learnt = model.student().trainable();
    learnt.map(|entry| (entry.name.clone(), entry.tensor.norm().double_value(&[])))
}

/// JSON has no word for what is no number.
fn numbers(named: impl IntoIterator<Item = (String, f64)>) -> Value {
    let value = |number: f64| match number.is_finite() {
        true => json!(number),
        false => json!(number.to_string()),
    };
    let named = named.into_iter();
    Value::Object(
        named
            .map(|(name, number)| (name, value(number)))
            .collect::<Map<_, _>>(),
    )
}
