//! A run in one row.

use super::run::Run;

/// What every row tells.
pub const COLUMNS: [&str; 10] = [
    "run",
    "method",
    "backbone",
    "epochs",
    "steps",
    "loss",
    "kNN top-1, first → last (best), %",
    "probe top-1, %",
    "images / s",
    "waiting, % of time",
];
/// Columns that hold words; the others hold numbers.
pub const NUM_WORDS: usize = 3;
/// Steps at the end of a run whose losses are averaged.
const LAST: usize = 25;

/// The cells of a run's row, in the order of [`COLUMNS`].
pub fn row(run: &Run) -> [String; COLUMNS.len()] {
    let setting = |key: &str| run.setting(key).map_or_else(unknown, str::to_owned);
    let last = run.steps().last();
    [
        run.name.clone(),
        setting("SSL_METHOD"),
        setting("MODEL.BACKBONE_ARCH"),
        last.map_or_else(unknown, |line| line.epoch.to_string()),
        last.map_or_else(unknown, |line| line.step.to_string()),
        loss(run),
        knn(run),
        number(run.by_epoch("probe_top1").last().map(|point| point.1), 1),
        number(median(run.steps().map(|line| line.images_per_s)), 1),
        number(waiting(run), 1),
    ]
}

fn unknown() -> String {
    "–".to_owned()
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(unknown, |value| format!("{value:.digits$}"))
}

fn loss(run: &Run) -> String {
    let losses: Vec<f64> = run.steps().filter_map(|line| line.loss).collect();
    let last = &losses[losses.len().saturating_sub(LAST)..];
    let mean = last.iter().sum::<f64>() / last.len() as f64;
    number((!last.is_empty()).then_some(mean), 3)
}

fn knn(run: &Run) -> String {
    let values: Vec<f64> = run.by_epoch("knn_top1").iter().map(|at| at.1).collect();
    let best = values.iter().copied().fold(f64::MIN, f64::max);
    match (values.first(), values.last()) {
        (Some(first), Some(last)) => format!("{first:.1} → {last:.1} ({best:.1})"),
        _ => unknown(),
    }
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Percent of the time of all steps that was spent waiting. A step's time follows from its speed and its images.
fn waiting(run: &Run) -> Option<f64> {
    let batch: f64 = run.setting("TRAIN.BATCH_SIZE")?.parse().ok()?;
    let waited: f64 = run.steps().map(|line| line.data_wait_ms / 1e3).sum();
    let whole: f64 = run.steps().map(|line| batch / line.images_per_s).sum();
    (whole > 0.0).then(|| 100.0 * waited / whole)
}
