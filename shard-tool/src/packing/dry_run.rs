//! `pack --dry-run`: reads everything, writes nothing, tells what would come out.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;
use shard_format::{MANIFEST_FILE, NewSample, TAR_END_BYTES};

use super::classes;
use super::plan::{Plan, PlannedSplit};
use super::read_ahead;
use super::reading::Outcome;
use super::write::check_strict;
use crate::commands::pack::options::PackOptions;
use crate::error::ToolError;
use crate::report::counts::{counted, thousands};
use crate::report::output::{self, tell, tell_lines};
use crate::report::progress::Progress;
use crate::source::contents::Source;
use crate::system::disk::free_bytes;

/// What a split would be.
#[derive(Debug, Default, Serialize)]
struct Forecast {
    num_samples: u64,
    num_bytes: u64,
    num_shards: u64,
    /// Of the shard that would be open.
    #[serde(skip)]
    open_bytes: u64,
    #[serde(skip)]
    open_samples: u64,
}

pub(crate) fn run(
    options: &PackOptions,
    out: &Path,
    plan: &Plan,
    source: &mut Source,
) -> Result<(), ToolError> {
    let num_empty_classes = classes::num_without_images(source, plan);
    let mut progress = Progress::new("looking at", plan.num_entries());
    let mut forecasts = BTreeMap::new();
    for split in &plan.splits {
        let forecast = forecast(options, plan, split, source, &mut progress)?;
        forecasts.insert(split.name, forecast);
    }
    progress.finish();
    tell_lines(&source.skips.skipped());
    if options.compress.is_some() {
        tell!("note: sizes are those before --compress");
    }
    let (num_skipped, free_bytes) = (source.skips.number(), free_bytes(out));
    warn(options, out, &forecasts, free_bytes);
    let json = serde_json::json!({
        "splits": forecasts, "num_skipped": num_skipped, "skipped": source.skips.to_json(), "free_bytes": free_bytes,
    });
    let text = to_text(&forecasts, num_skipped, free_bytes);
    output::print(|stdout| stdout.either(options.json, &json, &text))?;
    check_strict(options, num_skipped, num_empty_classes)
}

/// By split.
type Forecasts = BTreeMap<&'static str, Forecast>;

/// Tells of a set in the way, and of a lack of room.
fn warn(options: &PackOptions, out: &Path, forecasts: &Forecasts, free_bytes: Option<u64>) {
    if out.join(MANIFEST_FILE).exists() && !options.overwrite {
        let out = out.display();
        tell!("warning: {out} holds a set already, which is replaced with --overwrite alone");
    }
    let needed: u64 = forecasts.values().map(|split| split.num_bytes).sum();
    if let Some(free) = free_bytes.filter(|free| *free < needed && options.compress.is_none()) {
        let [needed, free] = [needed, free].map(thousands);
        tell!("warning: {needed} bytes are needed and {free} are free");
    }
}

fn to_text(forecasts: &Forecasts, num_skipped: u64, free_bytes: Option<u64>) -> String {
    let mut text = String::new();
    for (name, split) in forecasts {
        let images = counted(split.num_samples, "image");
        let shards = counted(split.num_shards, "shard");
        let bytes = thousands(split.num_bytes);
        writeln!(text, "{name}: {images}, {shards}, {bytes} bytes").expect("a string");
    }
    if let Some(free_bytes) = free_bytes {
        let free = thousands(free_bytes);
        writeln!(text, "{free} bytes are free where the shards would go").expect("a string");
    }
    let files = counted(num_skipped, "file");
    writeln!(text, "{files} would be skipped; nothing was written").expect("a string");
    text
}

fn forecast(
    options: &PackOptions,
    plan: &Plan,
    split: &PlannedSplit,
    source: &mut Source,
    progress: &mut Progress,
) -> Result<Forecast, ToolError> {
    let Source {
        catalogue, skips, ..
    } = source;
    let catalogue = &*catalogue;
    let candidate = |position: usize| catalogue.candidate(split.entries[position]);
    let mut forecast = Forecast::default();
    let location_of = |position: usize| candidate(position).location();
    let (num_files, read_options) = (split.entries.len(), options.read_options());
    read_ahead::in_order(num_files, location_of, read_options, |position, reading| {
        let candidate = candidate(position);
        if let Some(reason) = reading.outcome.reason_to_skip(|| candidate.shown())? {
            skips.add(&reason, candidate.shown().display());
        }
        if let Outcome::Image { bytes, crc, header } = reading.outcome {
            let sample = NewSample {
                key: &candidate.key(),
                image: &bytes,
                crc,
                header,
                label: plan.label(candidate.group_number),
            };
            forecast.add(sample.stored_bytes(), options);
        }
        progress.step(forecast.num_bytes);
        Ok(())
    })?;
    Ok(forecast)
}

impl Forecast {
    /// Adds a sample of so many bytes, by the rules of the writer.
    fn add(&mut self, stored_bytes: u64, options: &PackOptions) {
        let grown = self.open_bytes + stored_bytes + TAR_END_BYTES;
        let is_full = grown > options.shard_bytes() || self.open_samples >= options.shard_samples();
        if self.num_shards == 0 || (is_full && self.open_samples > 0) {
            (self.open_bytes, self.open_samples) = (0, 0);
            self.num_shards += 1;
            self.num_bytes += TAR_END_BYTES;
        }
        self.open_bytes += stored_bytes;
        self.open_samples += 1;
        self.num_samples += 1;
        self.num_bytes += stored_bytes;
    }
}
