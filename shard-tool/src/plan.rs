//! Decides classes, labels, splits and order, from names alone. Pure: the same names, seed and
//! fraction give the same plan, in whatever order the file system lists them.
//!
//! The order of a split is that of a seeded hash of the keys, so that adding a file to a source moves
//! no other two against each other.

use std::collections::{BTreeMap, BTreeSet};

use xxhash_rust::xxh3::Xxh3;

use crate::order::{divide, sort_by_hash};
use crate::source::{Catalogue, Group, TRAIN, VAL};

/// What goes where.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Class names in order; a label is a position in this list.
    pub(crate) classes: Vec<String>,
    pub(crate) splits: Vec<PlannedSplit>,
    /// The label of each group of the catalogue.
    labels: Vec<Option<u32>>,
}

/// The candidates of one split, by number, in the order in which they are packed.
#[derive(Debug)]
pub(crate) struct PlannedSplit {
    pub(crate) name: &'static str,
    pub(crate) entries: Vec<u32>,
}

impl Plan {
    pub(crate) fn label(&self, catalogue: &Catalogue, entry: u32) -> Option<u32> {
        self.labels[catalogue.group_number(entry)]
    }

    pub(crate) fn num_entries(&self) -> u64 {
        self.splits
            .iter()
            .map(|split| split.entries.len() as u64)
            .sum()
    }

    /// A digest of classes, keys and order: plans of the same digest pack the same names alike.
    pub(crate) fn digest(&self, catalogue: &Catalogue) -> u64 {
        let mut digest = Xxh3::new();
        let mut add = |text: &str| {
            digest.update(text.as_bytes());
            digest.update(&[0]);
        };
        self.classes.iter().for_each(|class| add(class));
        for split in &self.splits {
            add(split.name);
            split
                .entries
                .iter()
                .for_each(|entry| add(&catalogue.key(*entry)));
        }
        digest.digest()
    }
}

/// Plans the packing of the candidates `selected`, leaving out classes that are not among `classes`.
pub(crate) fn plan(
    catalogue: &Catalogue,
    selected: &[u32],
    classes: &BTreeSet<String>,
    seed: u64,
    val_fraction: Option<f64>,
) -> Plan {
    let numbers: BTreeMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
    let label_of = |group: &Group| numbers.get(group.class.as_deref()?).copied();
    let labels: Vec<Option<u32>> = catalogue.groups().iter().map(label_of).collect();
    let is_wanted = |entry: &&u32| {
        let is_unlabelled = catalogue.group(**entry).class.is_none();
        is_unlabelled || labels[catalogue.group_number(**entry)].is_some()
    };
    let mut splits: BTreeMap<&'static str, Vec<u32>> = BTreeMap::new();
    for entry in selected.iter().filter(is_wanted) {
        splits
            .entry(catalogue.group(*entry).split)
            .or_default()
            .push(*entry);
    }
    if let Some(fraction) = val_fraction
        && let Some(train) = splits.remove(TRAIN)
    {
        let (train, val) = draw_val(catalogue, train, seed, fraction);
        splits.insert(TRAIN, train);
        splits.insert(VAL, val);
    }
    let in_order = |(name, mut entries): (&'static str, Vec<u32>)| {
        sort_by_hash(&mut entries, seed, |entry| catalogue.key(*entry));
        PlannedSplit { name, entries }
    };
    Plan {
        classes: classes.iter().cloned().collect(),
        splits: splits.into_iter().map(in_order).collect(),
        labels,
    }
}

/// Divides into train and val: this part of each class, rounded, and at least one candidate stays in train.
fn draw_val(
    catalogue: &Catalogue,
    entries: Vec<u32>,
    seed: u64,
    fraction: f64,
) -> (Vec<u32>, Vec<u32>) {
    let mut by_class: BTreeMap<Option<&str>, Vec<u32>> = BTreeMap::new();
    for entry in entries {
        by_class
            .entry(catalogue.group(entry).class.as_deref())
            .or_default()
            .push(entry);
    }
    let (mut train, mut val) = (Vec::new(), Vec::new());
    for entries in by_class.into_values() {
        let (stays, becomes_val) = divide(entries, seed, fraction, |entry| catalogue.key(*entry));
        train.extend(stays);
        val.extend(becomes_val);
    }
    (train, val)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Place;

    fn add(catalogue: &mut Catalogue, split: &'static str, class: &str, files: &[u32]) {
        let (class, place) = (Some(class.to_owned()), Place::Folder(class.into()));
        let group = catalogue.add_group(Group {
            split,
            class,
            place,
        });
        for file in files {
            catalogue.add_file(group, format!("{file}.jpg").as_bytes());
        }
    }

    fn catalogue(groups: &[(&'static str, &str, std::ops::Range<u32>)]) -> Catalogue {
        let mut catalogue = Catalogue::default();
        for (split, class, files) in groups {
            add(
                &mut catalogue,
                split,
                class,
                &files.clone().collect::<Vec<_>>(),
            );
        }
        catalogue
    }

    fn planned(catalogue: &Catalogue, classes: &[&str], seed: u64, fraction: Option<f64>) -> Plan {
        let selected: Vec<u32> = (0..catalogue.len() as u32).collect();
        let classes = classes.iter().map(|name| (*name).to_owned()).collect();
        plan(catalogue, &selected, &classes, seed, fraction)
    }

    fn keys(catalogue: &Catalogue, plan: &Plan, split: &str) -> Vec<String> {
        let split = plan
            .splits
            .iter()
            .find(|planned| planned.name == split)
            .expect("the split");
        split
            .entries
            .iter()
            .map(|entry| catalogue.key(*entry))
            .collect()
    }

    #[test]
    fn labels_follow_the_names_over_all_splits() {
        let catalogue = catalogue(&[(TRAIN, "b", 0..1), (VAL, "a", 0..1)]);
        let plan = planned(&catalogue, &["b", "a"], 0, None);
        assert_eq!(plan.classes, ["a", "b"]);
        assert_eq!(plan.label(&catalogue, 0), Some(1));
        assert_eq!(plan.label(&catalogue, 1), Some(0));
    }

    #[test]
    fn the_order_depends_on_names_and_seed_only() {
        let listed = catalogue(&[(TRAIN, "a", 0..50), (TRAIN, "b", 0..50)]);
        let mut otherwise = Catalogue::default();
        let backwards: Vec<u32> = (0..50).rev().collect();
        add(&mut otherwise, TRAIN, "b", &backwards);
        add(&mut otherwise, TRAIN, "a", &backwards);
        let known = ["a", "b"];
        let order = keys(&listed, &planned(&listed, &known, 1, None), TRAIN);
        let again = planned(&otherwise, &known, 1, None);
        assert_eq!(order, keys(&otherwise, &again, TRAIN));
        assert_eq!(
            planned(&listed, &known, 1, None).digest(&listed),
            again.digest(&otherwise)
        );
        assert_ne!(
            order,
            keys(&listed, &planned(&listed, &known, 2, None), TRAIN)
        );
        assert!(!order.is_sorted());
    }

    #[test]
    fn the_validation_part_is_drawn_from_each_class() {
        let catalogue = catalogue(&[(TRAIN, "a", 0..40), (TRAIN, "b", 0..10)]);
        let plan = planned(&catalogue, &["a", "b"], 3, Some(0.25));
        let (train, val) = (keys(&catalogue, &plan, TRAIN), keys(&catalogue, &plan, VAL));
        let of_class = |class: &str| val.iter().filter(|key| key.starts_with(class)).count();
        assert_eq!((of_class("a/"), of_class("b/")), (10, 3));
        assert_eq!(train.len(), 37);
        assert!(train.iter().all(|key| !val.contains(key)));
    }

    #[test]
    fn a_class_of_one_image_stays_in_train() {
        let catalogue = catalogue(&[(TRAIN, "a", 0..1)]);
        let plan = planned(&catalogue, &["a"], 0, Some(0.9));
        assert_eq!(keys(&catalogue, &plan, TRAIN).len(), 1);
    }

    #[test]
    fn a_folder_that_is_no_class_is_left_out() {
        let catalogue = catalogue(&[(TRAIN, "a", 0..1), (TRAIN, "notes", 0..9)]);
        let plan = planned(&catalogue, &["a"], 0, None);
        assert_eq!(keys(&catalogue, &plan, TRAIN), ["a/0"]);
    }
}
