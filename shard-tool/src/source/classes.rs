//! Whether train and val speak of the same classes, once both are known.
//!
//! A list of labels may have numbers in place of names. They are positions, from 0, among the class names of train in order,
//! as `ImageFolder` numbers classes; only where train itself has numbers for names they are names.

use std::collections::BTreeSet;

use super::catalogue::Catalogue;
use super::contents::Source;
use super::labels::Labels;
use super::lines::is_image_name;
use super::splits::{TRAIN, VAL};
use crate::error::ToolError;
use crate::report::counts::counted;
use crate::report::output::tell;

/// How many classes a message names.
const NUM_NAMED: usize = 3;

/// Turns labels that are numbers into class names of train, and looks whether val has classes of its own.
///
/// # Errors
/// If train has classes, and none of those that the labels give to val is among them.
pub(super) fn match_val_to_train(labels: &Labels, source: &mut Source) -> Result<(), ToolError> {
    if labels.are_numbers() && !source.by_label.is_empty() {
        name_numbers(source);
    }
    let used = used_groups(&source.catalogue);
    let groups = || {
        (0..)
            .zip(source.catalogue.groups())
            .filter(|(number, _)| used[*number as usize])
    };
    let classes_of = |split: &str| -> BTreeSet<&str> {
        let of_split = groups().filter(|(_, group)| group.split == split);
        of_split
            .filter_map(|(_, group)| group.class.as_deref())
            .collect()
    };
    let (train, val) = (classes_of(TRAIN), classes_of(VAL));
    let lacking: Vec<&str> = val.difference(&train).copied().collect();
    if train.is_empty() || lacking.is_empty() {
        return Ok(());
    }
    let mut val_groups = groups().filter(|(_, group)| group.split == VAL);
    let is_by_label = val_groups.all(|(number, _)| source.by_label.contains(&number));
    if is_by_label && lacking.len() == val.len() {
        let train: Vec<&str> = train.into_iter().collect();
        let (val, train) = (examples(&lacking), examples(&train));
        return Err(ToolError::usage(
            "no class of val is among those of train",
            format_args!("val has {val}, train has {train}"),
            "give val labels that are class names of train, or their positions, from 0, in order of name",
        ));
    }
    tell!(
        "warning: val has {} that train lacks: {}",
        counted(lacking.len() as u64, "class"),
        examples(&lacking)
    );
    Ok(())
}

/// Gives the groups that are labelled with numbers the class names of train at these positions, if train has names.
fn name_numbers(source: &mut Source) {
    let names: Vec<String> = names_of_train(source).into_iter().collect();
    if names.iter().all(|name| position(name).is_some()) {
        return;
    }
    let class_of = |class: &str| names.get(position(class)?).cloned();
    let mut numbered = Vec::new();
    for group in &source.by_label {
        let class = source.catalogue.groups()[*group as usize].class.as_deref();
        match class.and_then(class_of) {
            Some(name) => numbered.push((*group, name)),
            None => return,
        }
    }
    for (group, name) in numbered {
        source.catalogue.set_class(group, name);
    }
    let note = format!(
        "the labels are numbers, taken as positions in the sorted class names of train: 0 is {}, {} is {}",
        names[0],
        names.len() - 1,
        names[names.len() - 1]
    );
    source.notes.push(note);
}

fn position(label: &str) -> Option<usize> {
    let is_decimal = label.bytes().all(|byte| byte.is_ascii_digit());
    label.parse().ok().filter(|_| is_decimal)
}

/// The names of the class folders of train. A folder that holds other files, but no file with the name of an image, is no
/// class, unless all are so.
fn names_of_train(source: &Source) -> BTreeSet<String> {
    let catalogue = &source.catalogue;
    let mut has_images = vec![None; catalogue.groups().len()];
    for candidate in catalogue.candidates() {
        let has_images: &mut Option<bool> = &mut has_images[candidate.group_number];
        *has_images = Some(*has_images == Some(true) || is_image_name(candidate.name));
    }
    let names = |wanted: fn(Option<bool>) -> bool| -> BTreeSet<String> {
        let groups = (0u32..).zip(catalogue.groups()).zip(&has_images);
        groups
            .filter(|((number, group), has_images)| {
                let is_of_a_folder = !source.by_label.contains(number);
                group.split == TRAIN && is_of_a_folder && wanted(**has_images)
            })
            .filter_map(|((_, group), _)| group.class.clone())
            .collect()
    };
    match names(|has_images| has_images == Some(true)) {
        none if none.is_empty() => names(|has_images| has_images.is_some()),
        with_images => with_images,
    }
}

/// Which groups have candidates.
fn used_groups(catalogue: &Catalogue) -> Vec<bool> {
    let mut used = vec![false; catalogue.groups().len()];
    let candidates = catalogue.candidates();
    candidates.for_each(|candidate| used[candidate.group_number] = true);
    used
}

fn examples(classes: &[&str]) -> String {
    let named = classes[..classes.len().min(NUM_NAMED)].join(", ");
    let more = if classes.len() > NUM_NAMED {
        ", ..."
    } else {
        ""
    };
    format!("{named}{more}")
}
