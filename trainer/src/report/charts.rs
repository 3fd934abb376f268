//! Which charts a report has, and one of them: a quantity of several runs.

use std::error::Error;

use plotters::style::{Color, RGBColor};

use super::picture::Picture;
use super::run::Run;
use crate::chart::{self, Curve, Frame};
use crate::curves::MEAN_STEPS;

/// Pixels of a chart; a page shows two for each pixel of a plain screen.
const SIZE: (u32, u32) = (1200, 720);
const SCALE: f64 = 2.0;
/// Share of the colour in the line of single steps.
const PALE: f64 = 0.3;

/// What a chart shows.
#[derive(Debug, Clone, Copy)]
pub struct Quantity {
    /// Its name in the metrics.
    pub name: &'static str,
    title: &'static str,
    unit: &'static str,
    axis: Axis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Axis {
    Step,
    Epoch,
}

const fn by_step(name: &'static str, title: &'static str, unit: &'static str) -> Quantity {
    Quantity {
        name,
        title,
        unit,
        axis: Axis::Step,
    }
}

const fn by_epoch(name: &'static str, title: &'static str) -> Quantity {
    Quantity {
        name,
        title,
        unit: "%",
        axis: Axis::Epoch,
    }
}

/// Charts under one heading.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// The heading.
    pub title: &'static str,
    /// What to know of it.
    pub about: &'static str,
    /// Its charts.
    pub quantities: &'static [Quantity],
}

/// All of them, the most telling first.
pub const SECTIONS: &[Section] = &[
    Section {
        title: "Accuracy",
        about: "Of the student on the validation split: k nearest neighbours, leave one out, and the joint linear probe. Epoch 0 is the network before training.",
        quantities: &[
            by_epoch("knn_top1", "kNN top-1"),
            by_epoch("knn_top5", "kNN top-5"),
            by_epoch("probe_top1", "Linear probe top-1"),
            by_epoch("top1", "Classifier top-1"),
            by_epoch("top5", "Classifier top-5"),
        ],
    },
    Section {
        title: "Loss",
        about: "The loss is the weighted sum of its two parts, which are shown unweighted.",
        quantities: &[
            by_step("loss", "Loss", "nats"),
            by_step("loss_global", "Part: global views with each other", "nats"),
            by_step("loss_local", "Part: global views with local views", "nats"),
            by_step("probe_loss", "Loss of the linear probe", "nats"),
        ],
    },
    Section {
        title: "Speed",
        about: "Of whole steps, waiting included. Waiting means that the loader is the slower side.",
        quantities: &[
            by_step("images_per_s", "Throughput", "images / s"),
            by_step("data_wait_ms", "Waiting for data", "ms / step"),
        ],
    },
    Section {
        title: "Signs of collapse",
        about: "Features: 1 is spread in all directions, 0 is the same for every image. Targets (of DINO's teacher, SwAV's codes): information is what a target says about its image, 0 if all are the same; a divergence of ln K means that one of K prototypes takes all. A loss at 1 × ln K is a guess.",
        quantities: &[
            by_step("feature_std", "Standard deviation of features", "relative"),
            by_step("effective_rank", "Effective rank of features", "directions"),
            by_step("target_information", "Information in targets", "nats"),
            by_step("target_entropy", "Entropy of targets", "nats"),
            by_step(
                "kl_to_uniform",
                "Divergence of the mean target from uniform",
                "nats",
            ),
            by_step(
                "prototypes_used",
                "Prototypes in use in a batch",
                "prototypes",
            ),
            by_step(
                "loss_over_ln_k",
                "Loss of global views against that of a guess",
                "× ln K",
            ),
        ],
    },
    Section {
        title: "Optimiser",
        about: "",
        quantities: &[
            by_step("lr", "Learning rate", ""),
            by_step("grad_norm", "Norm of the gradient, before clipping", ""),
        ],
    },
];

/// The chart of a quantity; `None` where no run has it.
///
/// # Errors
/// When it cannot be drawn.
pub fn draw(quantity: &Quantity, runs: &[Run]) -> Result<Option<Picture>, Box<dyn Error>> {
    let curves: Vec<Curve> = runs
        .iter()
        .flat_map(|run| curves(quantity, run, runs))
        .collect();
    if curves.iter().all(|curve| curve.points.is_empty()) {
        return Ok(None);
    }
    let frame = Frame {
        title: quantity.title,
        x_label: match quantity.axis {
            Axis::Step => "step",
            Axis::Epoch => "epoch",
        },
        y_label: quantity.unit,
        scale: SCALE,
    };
    let png = chart::paint(SIZE, |area| chart::draw(area, &frame, &curves))?;
    let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
    Ok(Some(Picture {
        file: format!("{}.png", quantity.name),
        alt: format!(
            "{} by {}: {}",
            quantity.title,
            frame.x_label,
            names.join(", ")
        ),
        png,
    }))
}

/// The mean over steps; of a run alone also every step, which would hide other runs.
fn curves(quantity: &Quantity, run: &Run, runs: &[Run]) -> Vec<Curve> {
    let curve = |name: String, color, width, points| Curve {
        name,
        color,
        width,
        points,
    };
    if quantity.axis == Axis::Epoch {
        let points = run.by_epoch(quantity.name);
        return vec![curve(run.name.clone(), run.color, 2, points)];
    }
    let points = run.by_step(quantity.name);
    let is_exact = quantity.name == "lr";
    let window = if is_exact { 1 } else { window(points.len()) };
    let mean = chart::smooth(&points, window);
    if runs.len() > 1 || is_exact {
        return vec![curve(run.name.clone(), run.color, 2, mean)];
    }
    let each = chart::smooth(&points, 1);
    let (mean_name, each_name) = (format!("mean of {window} steps"), "each step".to_owned());
    vec![
        curve(mean_name, run.color, 2, mean),
        curve(each_name, pale(run.color), 1, each),
    ]
}

/// Steps that are averaged: the usual number, or a hundredth of a long run.
fn window(num_steps: usize) -> usize {
    MEAN_STEPS.max(num_steps / 100)
}

fn pale(color: RGBColor) -> RGBColor {
    let mixed = |part: u8| (255.0 - PALE * (255.0 - f64::from(part))) as u8;
    let (red, green, blue) = color.to_rgba().rgb();
    RGBColor(mixed(red), mixed(green), mixed(blue))
}
