//! A run's folder, as a report reads it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use plotters::style::RGBColor;

use crate::chart::{COLORS, Points};
use crate::checkpoint;
use crate::failure::Failure;
use crate::metrics::{self, Line, StepLine, ValidationLine};
use crate::run_dir;

/// What one run left behind.
#[derive(Debug)]
pub struct Run {
    /// As the report calls it.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Its colour in every chart.
    pub color: RGBColor,
    /// Its settings, from the latest checkpoint, or why there are none.
    pub settings: Result<BTreeMap<String, String>, String>,
    /// Lines of its metrics that cannot be read, counted from 1.
    pub damaged: Vec<usize>,
    lines: Vec<Line>,
}

/// Reads these folders, in this order.
///
/// # Errors
/// When one is no run or cannot be read, or there are more of them than colours.
pub fn read_all(folders: &[PathBuf]) -> Result<Vec<Run>, Failure> {
    if folders.len() > COLORS.len() {
        return Err(Failure::Usage(format!(
            "{} runs in one report; command line; give {} at most: more lines cannot be told apart",
            folders.len(),
            COLORS.len()
        )));
    }
    let names = names(folders);
    let runs = folders.iter().zip(names).zip(COLORS);
    runs.map(|((folder, name), color)| read(folder, name, color))
        .collect()
}

/// The last part of each path; the whole one where that is no name of one run alone.
fn names(folders: &[PathBuf]) -> Vec<String> {
    let last = |folder: &PathBuf| {
        let whole = folder.canonicalize().unwrap_or_else(|_| folder.clone());
        let last = whole
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        last.unwrap_or_else(|| folder.display().to_string())
    };
    let short: Vec<String> = folders.iter().map(last).collect();
    let is_shared = |name: &String| short.iter().filter(|other| *other == name).count() > 1;
    let named = short.iter().zip(folders);
    let name = |(name, folder): (&String, &PathBuf)| match is_shared(name) {
        true => folder.display().to_string(),
        false => name.clone(),
    };
    named.map(name).collect()
}

fn read(folder: &Path, name: String, color: RGBColor) -> Result<Run, Failure> {
    let path = metrics::path(folder);
    let (lines, damaged) = metrics::read_marked(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Failure::Usage(format!(
            "this is no run: it has no metrics.jsonl; {}; give the OUTPUT_DIR of a run",
            folder.display()
        )),
        _ => Failure::io("reading metrics", &path)(error),
    })?;
    let settings = checkpoint::latest(&run_dir::checkpoints(folder));
    Ok(Run {
        name,
        folder: folder.to_owned(),
        color,
        settings: settings
            .map(|(_, state)| state.settings)
            .map_err(|error| error.to_string()),
        damaged,
        lines,
    })
}

impl Run {
    /// Its steps.
    pub fn steps(&self) -> impl Iterator<Item = &StepLine> {
        self.lines.iter().filter_map(|line| match line {
            Line::Step(step) => Some(step),
            Line::Validation(_) => None,
        })
    }

    /// Its validations.
    pub fn validations(&self) -> impl Iterator<Item = &ValidationLine> {
        self.lines.iter().filter_map(|line| match line {
            Line::Validation(line) => Some(line),
            Line::Step(_) => None,
        })
    }

    /// A number of every step that has it.
    pub fn by_step(&self, name: &str) -> Points {
        let points = self.steps().map(|line| {
            let value = match name {
                "loss" => line.loss,
                "lr" => Some(line.lr),
                "images_per_s" => Some(line.images_per_s),
                "data_wait_ms" => Some(line.data_wait_ms),
                other => line.others.get(other).copied().flatten(),
            };
            Some((line.step as f64, value?))
        });
        points.flatten().collect()
    }

    /// A number of every validation that has it.
    pub fn by_epoch(&self, name: &str) -> Points {
        let points = self.validations();
        let points = points.filter_map(|line| Some((line.epoch as f64, line.score(name)?)));
        points.collect()
    }

    /// The value of a key.
    pub fn setting(&self, key: &str) -> Option<&str> {
        let settings = self.settings.as_ref().ok()?;
        settings.get(key).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_called_by_their_folder_and_by_their_path_where_that_is_shared() {
        let folders = ["a/x", "b/x", "c"].map(PathBuf::from);
        assert_eq!(names(&folders), ["a/x", "b/x", "c"]);
        assert_eq!(names(&folders[1..]), ["x", "c"]);
    }

    #[test]
    fn a_folder_without_metrics_is_no_run() {
        let dir = tempfile::tempdir().unwrap();
        let refused = read_all(&[dir.path().to_owned()]).unwrap_err();
        assert_eq!(refused.exit_code(), 2);
        assert!(
            refused.to_string().contains("no metrics.jsonl"),
            "{refused}"
        );
    }
}
