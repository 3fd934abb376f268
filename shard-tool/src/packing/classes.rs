//! Which class folders hold images. The others are no classes and get no label.

use std::collections::BTreeSet;

use super::missing::Missing;
use super::plan::Plan;
use super::reading::{self, Outcome};
use crate::error::ToolError;
use crate::packing::transcode::Transcode;
use crate::report::output::tell;
use crate::source::catalogue::Candidate;
use crate::source::contents::Source;

/// Classes with at least one image. The files of the others are reported as skipped.
pub(crate) fn with_images(
    source: &mut Source,
    transcode: &Transcode,
) -> Result<BTreeSet<String>, ToolError> {
    let mut classes: BTreeSet<String> = BTreeSet::new();
    for candidate in source.catalogue.candidates() {
        if let Some(class) = &candidate.group.class
            && !classes.contains(class)
            && is_image(&candidate, transcode)
        {
            classes.insert(class.clone());
        }
    }
    skip_files_of_others(source, &classes, transcode)?;
    Ok(classes)
}

/// Class folders without images.
pub(crate) fn num_without_images(source: &Source, plan: &Plan) -> usize {
    all(source).len() - plan.classes.len()
}

fn is_image(candidate: &Candidate<'_>, transcode: &Transcode) -> bool {
    let location = candidate.location();
    let is_read = || {
        let outcome = reading::read(&location, transcode).outcome;
        matches!(outcome, Outcome::Image { .. })
    };
    reading::begins_with_image_header(&location) || is_read()
}

fn skip_files_of_others(
    source: &mut Source,
    classes: &BTreeSet<String>,
    transcode: &Transcode,
) -> Result<(), ToolError> {
    let without: BTreeSet<String> = all(source).difference(classes).cloned().collect();
    for class in &without {
        tell!(
            "warning: class folder `{class}` holds no image; it is not a class and gets no label"
        );
    }
    if without.is_empty() {
        return Ok(());
    }
    let Source {
        catalogue, skips, ..
    } = source;
    let mut missing = Missing::default();
    let is_without = |class: &String| without.contains(class);
    let of_others = catalogue
        .candidates()
        .filter(|candidate| candidate.group.class.as_ref().is_some_and(is_without));
    for candidate in of_others {
        let outcome = reading::read(&candidate.location(), transcode).outcome;
        missing.count(&outcome, || candidate.shown())?;
        if let Some(reason) = outcome.reason_to_skip(|| candidate.shown())? {
            skips.add(&reason, candidate.shown().display());
        }
    }
    Ok(())
}

fn all(source: &Source) -> BTreeSet<String> {
    let groups = source.catalogue.groups().iter();
    groups.filter_map(|group| group.class.clone()).collect()
}
