//! `shard-tool pack`: from images to a packed set.
//!
//! Files are read ahead on several threads; this thread writes them in the order of the plan. Every closed shard is noted in
//! the journal, and the next packing of the same plan into the same folder goes on after it.

mod classes;
mod dry_run;
mod gone;
mod paths;
mod resume;
mod write;

use std::time::Instant;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::cli::PackOptions;
use crate::error::ToolError;
use crate::feed::FeedOptions;
use crate::output::{self, tell, tell_lines};
use crate::plan::{self, Plan, PlanOptions};
use crate::report;
use crate::source::{self, Catalogue, Source};
use crate::transcode::{self, Transcode};

/// Packs `options.src` and prints the summary.
pub(crate) fn run(options: &PackOptions) -> Result<(), ToolError> {
    let started = Instant::now();
    let out = paths::output(options)?;
    paths::check(options, &out)?;
    let spool_dir = paths::spool_dir(&out);
    let mut source = source::open(options, spool_dir)?;
    if options.val_fraction.is_some() && source.has_val() {
        return Err(ToolError::HasVal(options.src[0].clone()));
    }
    for note in &source.notes {
        tell!("note: {note}");
    }
    if options.quality.is_some() && !transcode(options).is_wanted() {
        tell!("note: --quality has no effect without --transcode, --resize-short or --max-side");
    }
    let plan = plan_with_images(options, &mut source, spool_dir)?;
    if options.dry_run {
        return dry_run::run(options, &out, &plan, &mut source);
    }
    let manifest = write::write(options, &out, &plan, &mut source)?;
    if options.transcode
        && let Some(left) = transcode::left_as_they_were(&manifest)
    {
        tell!("note: {left}");
    }
    output::print(|stdout| match options.json {
        true => stdout.json(&report::summary_json(
            &manifest,
            &source.skips,
            &out,
            started.elapsed(),
        )),
        false => stdout.bytes(report::summary(&manifest, &out, started.elapsed()).as_bytes()),
    })
}

/// What is to be changed in every image.
fn transcode(options: &PackOptions) -> Transcode {
    Transcode {
        to_jpeg: options.transcode,
        resize_short: options.resize_short,
        max_side: options.max_side,
        quality: options.quality.unwrap_or(transcode::DEFAULT_QUALITY),
    }
}

fn feed_options(options: &PackOptions) -> FeedOptions {
    FeedOptions {
        transcode: transcode(options),
        num_threads: options.num_workers(),
    }
}

/// A digest of everything that decides the bytes of the shards but the content of the source.
fn digest(options: &PackOptions, plan: &Plan, catalogue: &Catalogue) -> Result<u64, ToolError> {
    let chosen = format!(
        "{:?}",
        (
            transcode(options),
            options.shard_size,
            options.samples_per_shard,
            options.compress,
            env!("CARGO_PKG_VERSION")
        )
    );
    Ok(xxh3_64_with_seed(
        chosen.as_bytes(),
        plan.digest(catalogue)?,
    ))
}

/// The plan for all classes that have an image.
fn plan_with_images(
    options: &PackOptions,
    source: &mut Source,
    spool_dir: &std::path::Path,
) -> Result<Plan, ToolError> {
    let classes = classes::with_images(source, &transcode(options))?;
    let is_unlabelled = |group: &source::Group| group.class.is_none();
    if classes.is_empty() && !source.catalogue.groups().iter().any(is_unlabelled) {
        tell_lines(&source.skips.to_text());
        return Err(ToolError::NoImages {
            src: options.src[0].clone(),
            num_folders: source.catalogue.groups().len(),
            num_skipped: source.skips.num_files(),
        });
    }
    let plan_options = PlanOptions {
        seed: options.seed,
        val_fraction: options.val_fraction,
        spool_dir,
    };
    plan::plan(&source.catalogue, &source.selected, &classes, plan_options)
}
