//! From what was measured to the lines of `metrics.jsonl` and of the screen.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::batch::Batch;
use crate::checkpoint::Position;
use crate::eval::Validation;
use crate::method::StepRates;
use crate::metrics::{StepLine, ValidationLine};
use crate::scalars::Scalars;
use crate::validate::Split;

/// The line of a step that began at `position`, took so long and waited so long for its images.
pub(crate) fn step_line(
    position: Position,
    batch: &Batch,
    rates: StepRates,
    values: &Scalars,
    took: Duration,
    waited: Duration,
) -> StepLine {
    StepLine {
        step: position.step + 1,
        epoch: position.epoch + 1,
        loss: finite(values.loss()),
        lr: rates.optimizer.lr,
        weight_decay: rates.optimizer.weight_decay,
        momentum: rates.momentum,
        teacher_temp: rates.teacher_temp,
        others: named(values.others(), &["loss_local", "probe_loss"]),
        images_per_s: batch.batch_size() as f64 / took.as_secs_f64(),
        data_wait_ms: waited.as_secs_f64() * 1e3,
    }
}

/// Numbers of a line. Those that readers look for are there in every line.
fn named(
    measured: impl Iterator<Item = (&'static str, f64)>,
    looked_for: &[&str],
) -> BTreeMap<String, Option<f64>> {
    let looked_for = looked_for.iter().map(|name| ((*name).to_owned(), None));
    let measured = measured.map(|(name, value)| (name.to_owned(), finite(value)));
    looked_for.chain(measured).collect()
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// The line of a validation at `position`.
pub(crate) fn validation_line(
    position: &Position,
    split: Split,
    found: &Validation,
) -> ValidationLine {
    ValidationLine {
        epoch: position.epoch + u64::from(position.step_in_epoch > 0),
        step: position.step,
        knn_split: split.name().to_owned(),
        knn_samples: found.num_samples,
        scores: named(found.scores.all(), &["knn_top1", "knn_top5", "probe_top1"]),
    }
}

/// The same for a person.
pub(crate) fn validation_text(line: &ValidationLine, took: Duration) -> String {
    format!(
        "validation after epoch {}: {} ({} labelled images of {}{}, {:.1} s)",
        line.epoch,
        scores_text(line),
        line.knn_samples,
        line.knn_split,
        if line.score("top1").is_some() {
            ""
        } else {
            ", leave one out"
        },
        took.as_secs_f64()
    )
}

fn scores_text(line: &ValidationLine) -> String {
    let percent = |value: Option<f64>| value.map_or("none".to_owned(), |v| format!("{v:.2} %"));
    let classifier = ["top1", "top5", "val_loss"].map(|name| line.score(name));
    if let [Some(top1), Some(top5), Some(loss)] = classifier {
        return format!("top-1 {top1:.2} %, top-5 {top5:.2} %, loss {loss:.4}");
    }
    let probe = line
        .score("probe_top1")
        .map_or(String::new(), |top1| format!(", probe top-1 {top1:.2} %"));
    let [one, five] = ["knn_top1", "knn_top5"].map(|name| percent(line.score(name)));
    format!("kNN top-1 {one}, top-5 {five}{probe}")
}
