//! `shard-tool pack`: from images to a packed set.
//!
//! Files are read ahead on several threads; this thread writes them in the order of the plan. Every closed shard is noted in
//! the journal, and the next packing of the same plan into the same folder goes on after it.

pub(crate) mod options;
mod paths;

use std::time::Instant;

use crate::error::ToolError;
use crate::packing::plan::{self, Plan};
use crate::packing::transcode;
use crate::packing::write::no_images;
use crate::packing::{classes, dry_run, write};
use crate::report::output::{self, tell, tell_lines};
use crate::report::summary;
use crate::source;
use crate::source::catalogue::Group;
use crate::source::contents::Source;
use options::PackOptions;

/// Packs `options.src` and prints the summary.
pub(crate) fn run(options: &PackOptions) -> Result<(), ToolError> {
    let started = Instant::now();
    let out = paths::output(options)?;
    paths::check(options, &out)?;
    let spool_dir = paths::spool_dir(&out);
    let mut source = source::open(options, spool_dir)?;
    if options.val_fraction.is_some() && source.has_val() {
        let what = "--val-fraction makes a val split, but SRC has one";
        let remedy = "leave out --val-fraction";
        return Err(ToolError::usage(what, options.src[0].display(), remedy));
    }
    for note in &source.notes {
        tell!("note: {note}");
    }
    if options.quality.is_some() && !options.transcode().is_wanted() {
        tell!("note: --quality has no effect without --transcode, --resize-short or --max-side");
    }
    let plan = plan_with_images(options, &mut source)?;
    if options.dry_run {
        return dry_run::run(options, &out, &plan, &mut source);
    }
    let manifest = write::write(options, &out, &plan, &mut source)?;
    if options.transcode
        && let Some(left) = transcode::left_as_they_were(&manifest)
    {
        tell!("note: {left}");
    }
    let (elapsed, num_classes) = (started.elapsed(), manifest.classes.len());
    let json = serde_json::json!({
        "out": out, "num_classes": num_classes, "splits": summary::splits(&manifest),
        "num_skipped": source.skips.number(), "skipped": source.skips.to_json(), "seconds": elapsed.as_secs_f64(),
    });
    let text = summary::text("packed", &manifest, &out, elapsed);
    output::print(|stdout| stdout.either(options.json, &json, &text))
}

/// The plan for all classes that have an image.
fn plan_with_images(options: &PackOptions, source: &mut Source) -> Result<Plan, ToolError> {
    let classes = classes::with_images(source, &options.transcode())?;
    let is_unlabelled = |group: &Group| group.class.is_none();
    let groups = source.catalogue.groups();
    if classes.is_empty() && !groups.iter().any(is_unlabelled) {
        tell_lines(&source.skips.skipped());
        return Err(no_images(options, groups.len(), &source.skips));
    }
    let (seed, val_fraction) = (options.seed, options.val_fraction);
    Ok(plan::plan(
        &source.catalogue,
        &source.selected,
        &classes,
        seed,
        val_fraction,
    ))
}
