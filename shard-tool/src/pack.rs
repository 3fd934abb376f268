//! `shard-tool pack`: from images to a packed set.
//!
//! Files are read ahead on several threads; this thread writes them in the order of the plan. Every closed shard is noted in
//! the journal, and the next packing of the same plan into the same folder goes on after it.

mod dry_run;
mod paths;
mod write;

use std::collections::BTreeSet;
use std::time::Instant;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::cli::PackOptions;
use crate::error::ToolError;
use crate::feed::{self, Outcome};
use crate::plan::{self, Plan};
use crate::report;
use crate::source::{self, Catalogue, Source};
use crate::transcode::{self, Transcode};

/// Packs `options.src` and prints the summary.
pub(crate) fn run(options: &PackOptions) -> Result<(), ToolError> {
    let started = Instant::now();
    let out = paths::output(options)?;
    paths::check(options, &out)?;
    let mut source = source::open(options)?;
    if options.val_fraction.is_some() && source.has_val() {
        return Err(ToolError::HasVal(options.src[0].clone()));
    }
    for note in &source.notes {
        eprintln!("note: {note}");
    }
    if options.quality.is_some() && !transcode(options).is_wanted() {
        eprintln!(
            "note: --quality has no effect without --transcode, --resize-short or --max-side"
        );
    }
    let plan = plan_with_images(options, &mut source)?;
    if options.dry_run {
        return dry_run::run(options, &plan, &mut source);
    }
    let manifest = write::write(options, &out, &plan, &mut source)?;
    if options.transcode
        && let Some(left) = transcode::left_as_they_were(&manifest)
    {
        eprintln!("note: {left}");
    }
    if options.json {
        println!(
            "{}",
            report::summary_json(&manifest, &out, started.elapsed())
        );
    } else {
        print!("{}", report::summary(&manifest, &out, started.elapsed()));
    }
    Ok(())
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

/// A digest of everything that decides the bytes of the shards but the content of the source.
fn digest(options: &PackOptions, plan: &Plan, catalogue: &Catalogue) -> u64 {
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
    xxh3_64_with_seed(chosen.as_bytes(), plan.digest(catalogue))
}

/// The plan for all classes that have an image.
fn plan_with_images(options: &PackOptions, source: &mut Source) -> Result<Plan, ToolError> {
    let classes = classes_with_images(source, &transcode(options));
    let is_unlabelled = |group: &source::Group| group.class.is_none();
    if classes.is_empty() && !source.catalogue.groups().iter().any(is_unlabelled) {
        eprint!("{}", source.skips.to_text());
        return Err(ToolError::NoImages {
            src: options.src[0].clone(),
            num_folders: source.catalogue.groups().len(),
            num_skipped: source.skips.num_files(),
        });
    }
    let Source {
        catalogue,
        selected,
        ..
    } = &*source;
    Ok(plan::plan(
        catalogue,
        selected,
        &classes,
        options.seed,
        options.val_fraction,
    ))
}

/// Classes with at least one image. The files of the others are reported as skipped.
fn classes_with_images(source: &mut Source, transcode: &Transcode) -> BTreeSet<String> {
    let catalogue = &source.catalogue;
    let mut classes: BTreeSet<String> = BTreeSet::new();
    let mut without = Vec::new();
    for (group, entries) in catalogue.groups().iter().zip(catalogue.entries_by_group()) {
        let Some(class) = &group.class else { continue };
        if classes.contains(class) {
            continue;
        }
        let is_image = |entry: &u32| {
            let location = catalogue.location(*entry);
            let is_read = || {
                matches!(
                    feed::read(&location, transcode).outcome,
                    Outcome::Image { .. }
                )
            };
            feed::begins_with_image_header(&location) || is_read()
        };
        if entries.iter().any(is_image) {
            classes.insert(class.clone());
        } else {
            without.push((class, entries));
        }
    }
    without.retain(|(class, _)| !classes.contains(*class));
    for (_, entries) in &without {
        for entry in entries {
            if let Outcome::Skip(reason) =
                feed::read(&catalogue.location(*entry), transcode).outcome
            {
                source.skips.add(&reason, &catalogue.shown(*entry));
            }
        }
    }
    let empty: BTreeSet<&str> = without.iter().map(|(class, _)| class.as_str()).collect();
    for class in empty {
        let note =
            format!("class folder `{class}` holds no image; it is not a class and gets no label");
        eprintln!("warning: {note}");
    }
    classes
}

/// Class folders without images.
fn num_empty_classes(source: &Source, plan: &Plan) -> usize {
    source.catalogue.classes().len() - plan.classes.len()
}
