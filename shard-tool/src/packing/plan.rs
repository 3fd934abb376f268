//! Decides classes, labels, splits and order, from names alone: the same names, seed and fraction give the same plan, in whatever
//! order the file system lists them.
//!
//! The order of a split is that of a seeded hash of the keys, so that adding a file to a source moves
//! no other two against each other.

use std::collections::{BTreeMap, BTreeSet};

use fixedbitset::FixedBitSet;
use xxhash_rust::xxh3::Xxh3;

use crate::source::by_hash;
use crate::source::catalogue::{Catalogue, Group};
use crate::source::splits::{TRAIN, VAL};

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
    /// The label of the candidates of a group.
    pub(crate) fn label(&self, group_number: usize) -> Option<u32> {
        self.labels[group_number]
    }

    pub(crate) fn num_entries(&self) -> u64 {
        let splits = self.splits.iter();
        splits.map(|split| split.entries.len() as u64).sum()
    }

    /// A digest of classes, keys and order: plans of the same digest pack the same names in the same order.
    pub(crate) fn digest(&self, catalogue: &Catalogue) -> u64 {
        let mut digest = Xxh3::new();
        let mut add = |text: &str| {
            digest.update(text.as_bytes());
            digest.update(&[0]);
        };
        self.classes.iter().for_each(|class| add(class));
        for split in &self.splits {
            add(split.name);
            let keys = split.entries.iter().map(|entry| catalogue.key(*entry));
            keys.for_each(|key| add(&key));
        }
        digest.digest()
    }
}

/// Plans the packing of the candidates `selected`, leaving out classes that are not among `classes`. `val_fraction` is the part of train
/// that becomes val.
pub(crate) fn plan(
    catalogue: &Catalogue,
    selected: &FixedBitSet,
    classes: &BTreeSet<String>,
    seed: u64,
    val_fraction: Option<f64>,
) -> Plan {
    let numbers: BTreeMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
    let label_of = |group: &Group| numbers.get(group.class.as_deref()?).copied();
    let labels: Vec<Option<u32>> = catalogue.groups().iter().map(label_of).collect();
    let mut members = members(catalogue, selected, &labels);
    if let Some(fraction) = val_fraction
        && let Some(train) = members.get_mut(TRAIN)
    {
        let (countable, classes) = catalogue.countable(train);
        let class = |number| classes[catalogue.candidate(number).group_number];
        let key = |number| catalogue.key(number);
        let val = by_hash::draw_val(countable.into_iter(), seed, key, class, fraction);
        train.difference_with(&val);
        members.insert(VAL, val);
    }
    let in_order = |(name, members): (&'static str, FixedBitSet)| PlannedSplit {
        name,
        entries: by_hash::shuffled(members.ones().map(|number| number as u32), seed, |number| {
            catalogue.key(number)
        }),
    };
    Plan {
        classes: classes.iter().cloned().collect(),
        splits: members.into_iter().map(in_order).collect(),
        labels,
    }
}

/// The wanted candidates of each split that has any.
fn members(
    catalogue: &Catalogue,
    selected: &FixedBitSet,
    labels: &[Option<u32>],
) -> BTreeMap<&'static str, FixedBitSet> {
    let mut members: BTreeMap<&'static str, FixedBitSet> = BTreeMap::new();
    for candidate in catalogue.candidates() {
        let is_unlabelled = candidate.group.class.is_none();
        let is_wanted = is_unlabelled || labels[candidate.group_number].is_some();
        if is_wanted && selected.contains(candidate.number as usize) {
            let none = || FixedBitSet::with_capacity(catalogue.len());
            let of_split = members.entry(candidate.group.split).or_insert_with(none);
            of_split.insert(candidate.number as usize);
        }
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::catalogue::Place;

    fn add(catalogue: &mut Catalogue, split: &'static str, class: &str, files: &[u32]) {
        let (class, place) = (Some(class.to_owned()), Place::Folder(class.into()));
        let group = catalogue.add_group(Group {
            split,
            class,
            place,
        });
        for file in files {
            let name = format!("{file}.jpg");
            catalogue.add_file(group, name.as_bytes()).expect("added");
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
        let mut selected = FixedBitSet::with_capacity(catalogue.len());
        selected.insert_range(..);
        let classes = classes.iter().map(|name| (*name).to_owned()).collect();
        plan(catalogue, &selected, &classes, seed, fraction)
    }

    fn keys(catalogue: &Catalogue, plan: &Plan, split: &str) -> Vec<String> {
        let split = plan
            .splits
            .iter()
            .find(|planned| planned.name == split)
            .expect("the split");
        let keys = split.entries.iter().map(|entry| catalogue.key(*entry));
        keys.collect()
    }

    #[test]
    fn labels_follow_the_names_over_all_splits() {
        let catalogue = catalogue(&[(TRAIN, "b", 0..1), (VAL, "a", 0..1)]);
        let plan = planned(&catalogue, &["b", "a"], 0, None);
        assert_eq!(plan.classes, ["a", "b"]);
        assert_eq!((plan.label(0), plan.label(1)), (Some(1), Some(0)));
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
