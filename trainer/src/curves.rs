//! A picture of a run: loss by step, accuracies by epoch. Drawn from `metrics.jsonl`, so a resumed run is drawn whole.

use std::fs::File;
use std::io::BufWriter;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

use crate::failure::Failure;
use crate::metrics::{self, Line, StepLine, ValidationLine};

const SIZE: (u32, u32) = (1200, 480);
const FONT: &str = "embedded";
const BLUE: RGBColor = RGBColor(31, 119, 180);
const ORANGE: RGBColor = RGBColor(255, 127, 14);
const PALE_BLUE: RGBColor = RGBColor(174, 205, 232);
const GREEN: RGBColor = RGBColor(44, 160, 44);
const GREY: RGBColor = RGBColor(210, 210, 210);

/// Steps whose losses are averaged.
const MEAN_STEPS: usize = 25;

type Points = Vec<(f64, f64)>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// One line of a chart.
struct Curve {
    name: &'static str,
    color: RGBColor,
    width: u32,
    points: Points,
}

/// Draws `curves.png` beside the metrics and returns its path.
///
/// # Errors
/// When the metrics cannot be read or the picture cannot be written.
pub fn draw(output_dir: &Path) -> Result<PathBuf, Failure> {
    let source = metrics::path(output_dir);
    let lines = metrics::read(&source).map_err(Failure::io("reading metrics", &source))?;
    let path = output_dir.join("curves.png");
    let pixels = paint(&lines).map_err(|error| {
        Failure::Resources(format!(
            "drawing failed: {error}; {}; report this",
            path.display()
        ))
    })?;
    write_png(&path, &pixels).map_err(Failure::io("writing the curves", &path))?;
    Ok(path)
}

/// RGB pixels of the picture.
fn paint(lines: &[Line]) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    load_font()?;
    let mut pixels = vec![255; (SIZE.0 * SIZE.1 * 3) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, SIZE).into_drawing_area();
        let accuracies = accuracy_curves(lines);
        let is_validated = accuracies.iter().any(|curve| !curve.points.is_empty());
        let loss_width = if is_validated { SIZE.0 / 2 } else { SIZE.0 };
        let (left, right) = area.split_horizontally(loss_width);
        let losses = loss_curves(lines);
        chart(
            &left,
            ("loss", "step"),
            SeriesLabelPosition::UpperRight,
            &losses,
        )?;
        if is_validated {
            let title = "accuracy on the validation split, %";
            chart(
                &right,
                (title, "epoch"),
                SeriesLabelPosition::LowerRight,
                &accuracies,
            )?;
        }
        area.present()?;
    }
    Ok(pixels)
}

/// The font travels inside the binary: a machine without any must draw the same picture.
fn load_font() -> Result<(), String> {
    static LOADED: OnceLock<bool> = OnceLock::new();
    let load = || {
        let bytes = epaint_default_fonts::UBUNTU_LIGHT;
        register_font(FONT, FontStyle::Normal, bytes).is_ok()
    };
    if *LOADED.get_or_init(load) {
        Ok(())
    } else {
        Err("the embedded font is not readable".to_owned())
    }
}

/// The loss of every step, and its mean over the last [`MEAN_STEPS`].
fn loss_curves(lines: &[Line]) -> Vec<Curve> {
    let step = |line: &Line| match line {
        Line::Step(StepLine { step, loss, .. }) => Some((*step as f64, *loss)),
        Line::Validation(_) => None,
    };
    let points: Points = lines.iter().filter_map(step).collect();
    let mean_to = |end: usize| {
        let window = &points[(end + 1).saturating_sub(MEAN_STEPS)..=end];
        let sum: f64 = window.iter().map(|point| point.1).sum();
        (points[end].0, sum / window.len() as f64)
    };
    vec![
        Curve {
            name: "mean of 25 steps",
            color: BLUE,
            width: 2,
            points: (0..points.len()).map(mean_to).collect(),
        },
        Curve {
            name: "each step",
            color: PALE_BLUE,
            width: 1,
            points,
        },
    ]
}

fn accuracy_curves(lines: &[Line]) -> Vec<Curve> {
    let validations: Vec<&ValidationLine> = lines
        .iter()
        .filter_map(|line| match line {
            Line::Validation(validation) => Some(validation),
            Line::Step(_) => None,
        })
        .collect();
    let points = |value: &dyn Fn(&ValidationLine) -> Option<f64>| -> Points {
        let pairs = validations.iter().map(|at| (at.epoch as f64, value(at)));
        pairs.filter_map(|(x, y)| Some((x, y?))).collect()
    };
    vec![
        Curve {
            name: "top-1",
            color: BLUE,
            width: 2,
            points: points(&|at| at.top1),
        },
        Curve {
            name: "top-5",
            color: ORANGE,
            width: 2,
            points: points(&|at| at.top5),
        },
        Curve {
            name: "kNN top-1",
            color: BLUE,
            width: 2,
            points: points(&|at| at.knn_top1),
        },
        Curve {
            name: "kNN top-5",
            color: ORANGE,
            width: 2,
            points: points(&|at| at.knn_top5),
        },
        Curve {
            name: "linear probe top-1",
            color: GREEN,
            width: 2,
            points: points(&|at| at.probe_top1),
        },
    ]
}

fn chart<DB>(
    area: &DrawingArea<DB, plotters::coord::Shift>,
    (title, x_label): (&str, &str),
    legend: SeriesLabelPosition,
    curves: &[Curve],
) -> Drawn
where
    DB: DrawingBackend,
    DB::ErrorType: 'static,
{
    let all = || curves.iter().flat_map(|curve| curve.points.iter());
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 20))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(48)
        .build_cartesian_2d(
            span(all().map(|point| point.0)),
            span(all().map(|point| point.1)),
        )?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GREY)
        .axis_style(BLACK)
        .label_style((FONT, 14))
        .axis_desc_style((FONT, 16))
        .x_desc(x_label)
        .x_labels(8)
        .draw()?;
    // The first curve is the most important one: it is drawn last.
    for curve in curves.iter().rev().filter(|curve| !curve.points.is_empty()) {
        let (color, width) = (curve.color, curve.width);
        chart
            .draw_series(LineSeries::new(
                curve.points.iter().copied(),
                color.stroke_width(width),
            ))?
            .label(curve.name)
            .legend(move |(x, y)| {
                PathElement::new([(x, y), (x + 18, y)], color.stroke_width(width))
            });
    }
    chart
        .configure_series_labels()
        .position(legend)
        .background_style(WHITE.mix(0.8))
        .border_style(GREY)
        .label_font((FONT, 14))
        .draw()?;
    Ok(())
}

/// The values' range with a margin; something drawable also for one value or none.
fn span(values: impl Iterator<Item = f64>) -> Range<f64> {
    let finite = values.filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::MAX, f64::MIN), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if low > high {
        return 0.0..1.0;
    }
    let margin = if high > low { (high - low) * 0.05 } else { 0.5 };
    low - margin..high + margin
}

fn write_png(path: &Path, pixels: &[u8]) -> std::io::Result<()> {
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(path)?), SIZE.0, SIZE.1);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    Ok(writer.finish()?)
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

    #[test]
    fn text_is_drawn_with_the_embedded_font() {
        let pixels = paint(&[]).unwrap();
        let caption = &pixels[..(SIZE.0 * 30 * 3) as usize];
        let dark = caption.iter().filter(|value| **value < 100).count();
        assert!(dark > 50, "{dark} dark values where the captions are");
    }
}
