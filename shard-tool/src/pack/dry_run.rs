//! `pack --dry-run`: reads everything, writes nothing, tells what would come out.

use std::fmt::Write as _;
use std::path::Path;

use shard_format::{MANIFEST_FILE, NewSample, TAR_END_BYTES};

use super::write::check_strict;
use super::{classes, feed_options};
use crate::cli::PackOptions;
use crate::disk::free_bytes;
use crate::error::ToolError;
use crate::feed::{self, Outcome};
use crate::output::{self, tell, tell_lines};
use crate::plan::{Plan, PlannedSplit};
use crate::progress::Progress;
use crate::report::{Skips, counted, thousands};
use crate::source::Source;

/// What a split would be.
#[derive(Debug, Default)]
struct Forecast {
    num_samples: u64,
    num_bytes: u64,
    num_shards: u64,
    /// Of the shard that would be open.
    open_bytes: u64,
    open_samples: u64,
}

pub(super) fn run(
    options: &PackOptions,
    out: &Path,
    plan: &Plan,
    source: &mut Source,
) -> Result<(), ToolError> {
    let num_empty_classes = classes::num_without_images(source, plan);
    let mut progress = Progress::new("looking at", plan.num_entries());
    let mut forecasts = Vec::new();
    for split in &plan.splits {
        let forecast = forecast(options, plan, split, source, &mut progress)?;
        forecasts.push((split.name, forecast));
    }
    progress.finish();
    tell_lines(&source.skips.to_text());
    if options.compress.is_some() {
        tell!("note: sizes are those before --compress");
    }
    warn(options, out, &forecasts);
    let num_skipped = source.skips.num_files();
    let free_bytes = free_bytes(out);
    output::print(|stdout| match options.json {
        true => stdout.json(&to_json(&forecasts, &source.skips, free_bytes)),
        false => stdout.bytes(to_text(&forecasts, num_skipped, free_bytes).as_bytes()),
    })?;
    check_strict(options, num_skipped, num_empty_classes)
}

/// Tells of a set in the way, and of a lack of room.
fn warn(options: &PackOptions, out: &Path, forecasts: &[(&str, Forecast)]) {
    if out.join(MANIFEST_FILE).exists() && !options.overwrite {
        let out = out.display();
        tell!("warning: {out} holds a set already, which is replaced with --overwrite alone");
    }
    let needed: u64 = forecasts.iter().map(|(_, split)| split.num_bytes).sum();
    if let Some(free) = free_bytes(out).filter(|free| *free < needed && options.compress.is_none())
    {
        let [needed, free] = [needed, free].map(thousands);
        tell!("warning: {needed} bytes are needed and {free} are free");
    }
}

fn to_text(forecasts: &[(&str, Forecast)], num_skipped: u64, free_bytes: Option<u64>) -> String {
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

fn to_json(
    forecasts: &[(&str, Forecast)],
    skips: &Skips,
    free_bytes: Option<u64>,
) -> serde_json::Value {
    let of_split = |(name, split): &(&str, Forecast)| {
        let numbers = serde_json::json!({
            "num_samples": split.num_samples, "num_shards": split.num_shards, "num_bytes": split.num_bytes,
        });
        ((*name).to_owned(), numbers)
    };
    let splits: serde_json::Map<_, _> = forecasts.iter().map(of_split).collect();
    serde_json::json!({
        "splits": splits, "num_skipped": skips.num_files(), "skipped": skips.to_json(), "free_bytes": free_bytes,
    })
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
    let candidate = |position: usize| catalogue.candidate(split.entries.get(position)?);
    let mut forecast = Forecast::default();
    let location_of = |position: usize| Ok(candidate(position)?.location());
    let num_files = split.entries.len();
    feed::read_in_order(
        num_files,
        location_of,
        feed_options(options),
        |position, reading| {
            let candidate = candidate(position)?;
            if let Some(reason) = reading.outcome.reason_to_skip(|| candidate.shown())? {
                skips.add(&reason, &candidate.shown());
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
        },
    )?;
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
