//! A picture of a run: loss by step, accuracies by epoch. Drawn from `metrics.jsonl`, so a resumed run is drawn whole.

use std::path::{Path, PathBuf};

use plotters::style::RGBColor;

use crate::chart::{self, COLORS, Curve, Drawn, Frame, Points};
use crate::failure::Failure;
use crate::metrics::{self, Line};

const SIZE: (u32, u32) = (1200, 480);
const PALE_BLUE: RGBColor = RGBColor(174, 205, 232);

/// Steps whose losses are averaged.
pub const MEAN_STEPS: usize = 25;

/// Draws `curves.png` beside the metrics and returns its path.
///
/// # Errors
/// When the metrics cannot be read or the picture cannot be written.
pub fn draw(output_dir: &Path) -> Result<PathBuf, Failure> {
    let source = metrics::path(output_dir);
    let lines = metrics::read(&source).map_err(Failure::io("reading metrics", &source))?;
    let path = output_dir.join("curves.png");
    let png = chart::paint(SIZE, |area| both(area, &lines)).map_err(|error| {
        Failure::Resources(format!(
            "drawing failed: {error}; {}; report this",
            path.display()
        ))
    })?;
    std::fs::write(&path, png).map_err(Failure::io("writing the curves", &path))?;
    Ok(path)
}

fn both(area: &chart::Area, lines: &[Line]) -> Drawn {
    let accuracies = accuracy_curves(lines);
    let is_validated = accuracies.iter().any(|curve| !curve.points.is_empty());
    let loss_width = if is_validated { SIZE.0 / 2 } else { SIZE.0 };
    let (left, right) = area.split_horizontally(loss_width);
    let frame = |title, x_label, y_label| Frame {
        title,
        x_label,
        y_label,
        scale: 1.0,
    };
    chart::draw(&left, &frame("loss", "step", "nats"), &loss_curves(lines))?;
    if is_validated {
        let title = "accuracy on the validation split";
        chart::draw(&right, &frame(title, "epoch", "%"), &accuracies)?;
    }
    Ok(())
}

/// The mean loss over the last [`MEAN_STEPS`], and that of every step.
fn loss_curves(lines: &[Line]) -> Vec<Curve> {
    let step = |line: &Line| match line {
        Line::Step(step) => Some((step.step as f64, step.loss?)),
        Line::Validation(_) => None,
    };
    let points: Points = lines.iter().filter_map(step).collect();
    let mean = chart::smooth(&points, MEAN_STEPS);
    let each = chart::smooth(&points, 1);
    vec![
        curve("mean of 25 steps", COLORS[0], 2, mean),
        curve("each step", PALE_BLUE, 1, each),
    ]
}

fn accuracy_curves(lines: &[Line]) -> Vec<Curve> {
    let points = |name: &str| -> Points {
        let of_line = |line: &Line| match line {
            Line::Validation(line) => Some((line.epoch as f64, line.score(name)?)),
            Line::Step(_) => None,
        };
        lines.iter().filter_map(of_line).collect()
    };
    let curves = [
        ("top-1", 0, "top1"),
        ("top-5", 1, "top5"),
        ("kNN top-1", 0, "knn_top1"),
        ("kNN top-5", 1, "knn_top5"),
        ("linear probe top-1", 2, "probe_top1"),
    ];
    let curves = curves.map(|(title, color, name)| curve(title, COLORS[color], 2, points(name)));
    curves.into()
}

fn curve(name: &str, color: RGBColor, width: u32, points: Points) -> Curve {
    Curve {
        name: name.to_owned(),
        color,
        width,
        points,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_any_line_still_gives_a_picture() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(metrics::path(dir.path()), "").unwrap();
        let path = draw(dir.path()).unwrap();
        assert!(std::fs::metadata(path).unwrap().len() > 1000);
    }
}
