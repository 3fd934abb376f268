//! `pack --dry-run`: reads everything, writes nothing, tells what would come out.

use shard_format::{NewSample, TAR_END_BYTES};

use super::transcode;
use crate::cli::PackOptions;
use crate::error::ToolError;
use crate::feed::{self, Outcome};
use crate::plan::{Plan, PlannedSplit};
use crate::progress::Progress;
use crate::report::{counted, thousands};
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
    plan: &Plan,
    source: &mut Source,
) -> Result<(), ToolError> {
    let mut progress = Progress::new("looking at", plan.num_entries());
    let mut forecasts = Vec::new();
    for split in &plan.splits {
        forecasts.push((
            split.name,
            forecast(options, plan, split, source, &mut progress)?,
        ));
    }
    progress.finish();
    eprint!("{}", source.skips.to_text());
    if options.json {
        println!("{}", to_json(&forecasts, source.skips.num_files()));
        return Ok(());
    }
    for (name, split) in &forecasts {
        println!(
            "{name}: {}, {}, {} bytes",
            counted(split.num_samples, "image"),
            counted(split.num_shards, "shard"),
            thousands(split.num_bytes)
        );
    }
    println!(
        "{} would be skipped; nothing was written",
        counted(source.skips.num_files(), "file")
    );
    Ok(())
}

fn to_json(forecasts: &[(&str, Forecast)], num_skipped: u64) -> serde_json::Value {
    let of_split = |(name, split): &(&str, Forecast)| {
        let numbers = serde_json::json!({
            "num_samples": split.num_samples, "num_shards": split.num_shards, "num_bytes": split.num_bytes,
        });
        ((*name).to_owned(), numbers)
    };
    let splits: serde_json::Map<_, _> = forecasts.iter().map(of_split).collect();
    serde_json::json!({ "splits": splits, "num_skipped": num_skipped })
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
    let mut forecast = Forecast::default();
    let location_of = |number: usize| catalogue.location(split.entries[number]);
    feed::read_in_order(
        split.entries.len(),
        location_of,
        &transcode(options),
        |number, reading| {
            let entry = split.entries[number];
            match reading.outcome {
                Outcome::Skip(reason) => skips.add(&reason, &catalogue.shown(entry)),
                Outcome::Image { bytes, crc, header } => {
                    let (key, label) = (catalogue.key(entry), plan.label(catalogue, entry));
                    let sample = NewSample {
                        key: &key,
                        image: &bytes,
                        crc,
                        header,
                        label,
                    };
                    forecast.add(sample.stored_bytes(), options);
                }
            }
            progress.step(forecast.num_bytes);
            Ok::<(), ToolError>(())
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
