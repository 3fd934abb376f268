//! What a run measures, written as it happens: `metrics.jsonl` and TensorBoard events.
//!
//! A line per step: `step` and `epoch` count from 1, rates and losses are as used in that step, accuracies are percentages
//! from 0 to 100; a step that was skipped has null for its loss. A line per validation: `epoch` counts the epochs done, so 0 is the
//! network before training; `step` the steps done. `knn_split` names the split, `knn_samples` how many images of it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::output::tell;
use crate::tensorboard::EventWriter;

/// One training step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepLine {
    /// Steps done, this one included.
    pub step: u64,
    /// Epoch of this step, counted from 1.
    pub epoch: u64,
    /// The method's loss; null where it is no number, and so the step was skipped.
    pub loss: Option<f64>,
    /// Learning rate.
    pub lr: f64,
    /// Weight decay before the groups' factors.
    pub weight_decay: f64,
    /// Share of the teacher that stays.
    pub momentum: f64,
    /// Temperature of the teacher's softmax.
    pub teacher_temp: f64,
    /// Source images per second, waiting included.
    pub images_per_s: f64,
    /// Milliseconds spent waiting for data.
    pub data_wait_ms: f64,
    /// Whatever else the method measures ([`crate::scalars::StepStats`]); null where a step has no such number, or it is none.
    #[serde(flatten)]
    pub others: BTreeMap<String, Option<f64>>,
}

/// One validation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ValidationLine {
    /// Epochs done; of a run that ends within an epoch, that epoch's number from 1.
    pub epoch: u64,
    /// Steps done.
    pub step: u64,
    /// The split that was scored.
    pub knn_split: String,
    /// Labelled images that were scored.
    pub knn_samples: usize,
    /// What was measured, by name ([`crate::eval::Validation`]); null where there is no such number.
    #[serde(flatten)]
    pub scores: BTreeMap<String, Option<f64>>,
}

impl ValidationLine {
    /// The score of this name.
    pub fn score(&self, name: &str) -> Option<f64> {
        self.scores.get(name).copied().flatten()
    }
}

/// Any line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// A step.
    Step(StepLine),
    /// A validation.
    Validation(ValidationLine),
}

/// Both outputs of a run.
#[derive(Debug)]
pub struct Metrics {
    path: PathBuf,
    lines: File,
    events: EventWriter<BufWriter<File>>,
    is_loss_told: bool,
}

impl Line {
    fn step(&self) -> u64 {
        match self {
            Line::Step(line) => line.step,
            Line::Validation(line) => line.step,
        }
    }
}

impl Metrics {
    /// Opens `metrics.jsonl` and `tensorboard/` in `output_dir`, after the lines of the first `done` steps.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn open(output_dir: &Path, done: u64) -> Result<Metrics, Failure> {
        let path = path(output_dir);
        cut_after(&path, done)?;
        let lines = OpenOptions::new().create(true).append(true).open(&path);
        let lines = lines.map_err(Failure::io("writing metrics", &path))?;
        let events_dir = output_dir.join("tensorboard");
        let events = EventWriter::create(&events_dir);
        let events = events.map_err(Failure::io("writing TensorBoard events", &events_dir))?;
        Ok(Metrics {
            path,
            lines,
            events,
            is_loss_told: false,
        })
    }

    /// Adds a step.
    pub fn step(&mut self, line: &StepLine) {
        let mut values = vec![
            ("loss", line.loss),
            ("lr", Some(line.lr)),
            ("wd", Some(line.weight_decay)),
            ("momentum", Some(line.momentum)),
            ("teacher_temp", Some(line.teacher_temp)),
            ("images_per_s", Some(line.images_per_s)),
            ("data_wait_ms", Some(line.data_wait_ms)),
        ];
        let others = line.others.iter();
        values.extend(others.map(|(name, value)| (tag(name), *value)));
        self.add(&Line::Step(line.clone()), &values, line.step);
    }

    /// Adds a validation.
    pub fn validation(&mut self, line: &ValidationLine) {
        let scores = line.scores.iter();
        let values: Vec<_> = scores.map(|(name, value)| (tag(name), *value)).collect();
        self.add(&Line::Validation(line.clone()), &values, line.epoch);
    }

    /// Writes to both; what cannot be written is lost, which is told once and ends nothing.
    fn add(&mut self, line: &Line, values: &[(&str, Option<f64>)], at: u64) {
        let written = self.write(line).and(self.scalars(values, at));
        if let Err(error) = written
            && !self.is_loss_told
        {
            self.is_loss_told = true;
            tell!(
                "warning: metrics are lost from step {} on, as long as they cannot be written: {error}; {}; training goes on; make space",
                line.step(),
                self.path.display()
            );
        }
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        let end = self.lines.metadata()?.len();
        let written = self.lines.write_all(text.as_bytes());
        if written.is_err() {
            // A torn line would spoil the next one; where it stays, `read` skips both.
            let _ = self.lines.set_len(end);
        }
        written
    }

    fn scalars(&mut self, values: &[(&str, Option<f64>)], step: u64) -> io::Result<()> {
        for (tag, value) in values {
            if let Some(value) = value {
                self.events.scalar(tag, *value, step)?;
            }
        }
        self.events.flush()
    }
}

/// What TensorBoard calls a number, where the reference has a name for it.
fn tag(name: &str) -> &str {
    match name {
        "probe_loss" => "sup_loss",
        "probe_accuracy" => "sup_accu",
        "probe_top1" => "linear probe",
        "top1" => "val_top1",
        "top5" => "val_top5",
        other => other,
    }
}

/// Where the lines of a run are.
pub fn path(output_dir: &Path) -> PathBuf {
    output_dir.join("metrics.jsonl")
}

/// Every line that can be read; a line cut off by a kill is left out.
///
/// # Errors
/// When the file cannot be read.
pub fn read(path: &Path) -> io::Result<Vec<Line>> {
    read_marked(path).map(|(lines, _)| lines)
}

/// The same, and the numbers of whole lines that cannot be read, from 1.
///
/// # Errors
/// When the file cannot be read.
pub fn read_marked(path: &Path) -> io::Result<(Vec<Line>, Vec<usize>)> {
    let bytes = fs::read(path)?;
    let text = String::from_utf8_lossy(&bytes);
    let (mut lines, mut damaged) = (Vec::new(), Vec::new());
    for (at, line) in text.split_inclusive('\n').enumerate() {
        match serde_json::from_str(line) {
            Ok(line) => lines.push(line),
            Err(_) if line.ends_with('\n') => damaged.push(at + 1),
            Err(_) => {}
        }
    }
    Ok((lines, damaged))
}

/// Removes what a killed run wrote after the checkpoint that is continued from.
fn cut_after(path: &Path, done: u64) -> Result<(), Failure> {
    let lines = match read(path) {
        Ok(lines) => lines,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Failure::io("reading metrics", path)(error)),
    };
    let mut kept = String::new();
    for line in lines.iter().filter(|line| line.step() <= done) {
        kept += &serde_json::to_string(line).unwrap_or_default();
        kept.push('\n');
    }
    let partial = path.with_extension("jsonl.partial");
    fs::write(&partial, kept)
        .and_then(|()| fs::rename(&partial, path))
        .map_err(Failure::io("writing metrics", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(step: u64) -> StepLine {
        StepLine {
            step,
            epoch: 1,
            loss: Some(2.5),
            lr: 0.1,
            weight_decay: 0.0,
            momentum: 0.99,
            teacher_temp: 0.04,
            others: BTreeMap::from([
                ("grad_norm".to_owned(), Some(0.1)),
                ("loss_local".to_owned(), None),
            ]),
            images_per_s: 10.0,
            data_wait_ms: 0.5,
        }
    }

    #[test]
    fn a_resumed_run_drops_the_lines_after_its_checkpoint() {
        let dir = tempfile::tempdir().unwrap();
        let mut metrics = Metrics::open(dir.path(), 0).unwrap();
        let validation = ValidationLine {
            epoch: 0,
            step: 0,
            knn_split: "val".to_owned(),
            knn_samples: 8,
            scores: BTreeMap::from([
                ("knn_top1".to_owned(), Some(12.5)),
                ("probe_top1".to_owned(), None),
            ]),
        };
        metrics.validation(&validation);
        for number in 1..=5 {
            metrics.step(&step(number));
        }
        drop(metrics);
        let file = path(dir.path());
        let mut torn = fs::read_to_string(&file).unwrap();
        torn += "{\"step\": 6, \"epo";
        fs::write(&file, torn).unwrap();
        drop(Metrics::open(dir.path(), 3).unwrap());
        let wanted: Vec<Line> = [Line::Validation(validation)]
            .into_iter()
            .chain((1..=3).map(|number| Line::Step(step(number))))
            .collect();
        assert_eq!(read(&file).unwrap(), wanted);
    }

    #[test]
    fn lines_that_cannot_be_written_are_lost_and_later_ones_are_whole() {
        let dir = tempfile::tempdir().unwrap();
        let mut metrics = Metrics::open(dir.path(), 0).unwrap();
        metrics.step(&step(1));
        let read_only = File::open(path(dir.path())).unwrap();
        let writable = std::mem::replace(&mut metrics.lines, read_only);
        metrics.step(&step(2));
        assert!(metrics.is_loss_told);
        metrics.lines = writable;
        metrics.step(&step(3));
        let steps: Vec<u64> = read(&path(dir.path()))
            .unwrap()
            .iter()
            .map(Line::step)
            .collect();
        assert_eq!(steps, [1, 3]);
    }
}
