//! What a classifier reached once its run is over: a table for people, and `result.json` in the run's folder.

use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::failure::Failure;
use crate::metrics::{self, Line};
use crate::output::show;
use crate::run_dir;

/// `result.json`.
#[derive(Debug, Serialize)]
struct Outcome<'a> {
    evaluation: &'a str,
    split: String,
    num_samples: usize,
    best: Scores,
    last: Scores,
}

/// One validation; accuracies in percent.
#[derive(Debug, Clone, Copy, Serialize)]
struct Scores {
    epoch: u64,
    top1: f64,
    top5: f64,
    loss: f64,
}

/// Tells the best and the last validation of the run in `dir`; a run that was never validated has none.
///
/// # Errors
/// When the metrics cannot be read or the result cannot be written.
pub(super) fn tell(dir: &Path, evaluation: &str) -> Result<(), Failure> {
    let source = metrics::path(dir);
    let lines = metrics::read(&source).map_err(Failure::io("reading metrics", &source))?;
    let Some(outcome) = outcome(&lines, evaluation) else {
        return Ok(());
    };
    let path = run_dir::result_path(dir);
    let text = serde_json::to_string_pretty(&outcome).expect("names and numbers");
    fs::write(&path, text + "\n").map_err(Failure::io("writing the result", &path))?;
    let Outcome {
        split, num_samples, ..
    } = &outcome;
    show!("{evaluation} evaluation on {num_samples} labelled images of {split}:");
    show!("        epoch   top-1   top-5    loss");
    for (
        name,
        Scores {
            epoch,
            top1,
            top5,
            loss,
        },
    ) in [("best", outcome.best), ("last", outcome.last)]
    {
        show!("  {name} {epoch:6}  {top1:6.2}  {top5:6.2}  {loss:6.3}");
    }
    show!("result: {}", path.display());
    Ok(())
}

fn outcome<'a>(lines: &[Line], evaluation: &'a str) -> Option<Outcome<'a>> {
    let validations: Vec<(Scores, &metrics::ValidationLine)> = lines
        .iter()
        .filter_map(|line| match line {
            // Before the first step there is nothing to tell.
            Line::Validation(line) if line.step > 0 => Some((
                Scores {
                    epoch: line.epoch,
                    top1: line.score("top1")?,
                    top5: line.score("top5")?,
                    loss: line.score("val_loss")?,
                },
                line,
            )),
            _ => None,
        })
        .collect();
    let (last, line) = *validations.last()?;
    let scores = validations.iter().map(|(scores, _)| *scores);
    let best = scores.reduce(|best, next| if next.top1 > best.top1 { next } else { best })?;
    Some(Outcome {
        evaluation,
        split: line.knn_split.clone(),
        num_samples: line.knn_samples,
        best,
        last,
    })
}
