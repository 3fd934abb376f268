//! Decides classes, labels, keys, splits and order, from names alone. Pure: the same names, seed and
//! fraction give the same plan, in whatever order the file system lists them.
//!
//! The order of a split is that of a seeded hash of the keys, so that adding a file to a source moves
//! no other two against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use shard_format::name;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::imagenet::{ClassFolder, VAL};

/// Distinguishes the draw of the validation part from that of the order.
const VAL_SEED: u64 = 0x5eed_0f7a_11da_7e00;

/// What goes where.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Class names in order; a label is a position in this list.
    pub(crate) classes: Vec<String>,
    pub(crate) splits: Vec<PlannedSplit>,
}

/// The candidates of one split, in the order in which they are packed.
#[derive(Debug)]
pub(crate) struct PlannedSplit {
    pub(crate) name: &'static str,
    pub(crate) files: Vec<PlannedFile>,
}

/// One candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlannedFile {
    pub(crate) key: Box<str>,
    pub(crate) label: u32,
    /// Position in the list of class folders.
    folder: u32,
    /// Position in the files of that folder.
    file: u32,
}

impl PlannedFile {
    pub(crate) fn path(&self, folders: &[ClassFolder]) -> PathBuf {
        let folder = &folders[self.folder as usize];
        folder.dir.join(&folder.files[self.file as usize])
    }
}

/// Plans the packing of `folders`, leaving out classes that are not among `classes`.
pub(crate) fn plan(
    folders: &[ClassFolder],
    classes: &BTreeSet<String>,
    seed: u64,
    val_fraction: Option<f64>,
) -> Plan {
    let labels: BTreeMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
    let mut splits: BTreeMap<&'static str, Vec<PlannedFile>> = BTreeMap::new();
    for (position, folder) in (0u32..).zip(folders) {
        let Some(label) = labels.get(folder.class.as_str()) else {
            continue;
        };
        let mut files = planned_files(folder, position, *label);
        if let Some(fraction) = val_fraction {
            let val = draw_val(&mut files, seed, fraction);
            splits.entry(VAL).or_default().extend(val);
        }
        splits.entry(folder.split).or_default().extend(files);
    }
    let in_order = |(name, mut files): (&'static str, Vec<PlannedFile>)| {
        sort_by_hash(&mut files, seed);
        PlannedSplit { name, files }
    };
    Plan {
        classes: classes.iter().cloned().collect(),
        splits: splits.into_iter().map(in_order).collect(),
    }
}

fn planned_files(folder: &ClassFolder, position: u32, label: u32) -> Vec<PlannedFile> {
    let names: Vec<&[u8]> = folder
        .files
        .iter()
        .map(|file| file.as_os_str().as_bytes())
        .collect();
    let planned = |(file, stem): (u32, String)| {
        let key = format!("{}/{stem}", folder.class).into_boxed_str();
        PlannedFile {
            key,
            label,
            folder: position,
            file,
        }
    };
    (0u32..)
        .zip(name::unique_stems(&names))
        .map(planned)
        .collect()
}

/// Takes this part of the files of one class, rounded, and leaves at least one.
fn draw_val(files: &mut Vec<PlannedFile>, seed: u64, fraction: f64) -> Vec<PlannedFile> {
    sort_by_hash(files, seed ^ VAL_SEED);
    let wanted = (files.len() as f64 * fraction).round() as usize;
    let num_val = wanted.min(files.len().saturating_sub(1));
    files.drain(..num_val).collect()
}

fn sort_by_hash(files: &mut [PlannedFile], seed: u64) {
    files.sort_by_cached_key(|file| {
        (
            xxh3_64_with_seed(file.key.as_bytes(), seed),
            file.key.clone(),
        )
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imagenet::TRAIN;

    fn folder(split: &'static str, class: &str, files: std::ops::Range<u32>) -> ClassFolder {
        let files = files
            .map(|number| PathBuf::from(format!("{number}.jpg")))
            .collect();
        ClassFolder {
            split,
            class: class.to_owned(),
            dir: PathBuf::from(class),
            files,
        }
    }

    fn keys(plan: &Plan, split: &str) -> Vec<String> {
        let split = plan
            .splits
            .iter()
            .find(|planned| planned.name == split)
            .expect("the split");
        split
            .files
            .iter()
            .map(|file| file.key.to_string())
            .collect()
    }

    fn classes(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn labels_follow_the_names_over_all_splits() {
        let folders = [folder(TRAIN, "b", 0..1), folder(VAL, "a", 0..1)];
        let plan = plan(&folders, &classes(&["b", "a"]), 0, None);
        assert_eq!(plan.classes, ["a", "b"]);
        assert_eq!(plan.splits[0].files[0].label, 1);
        assert_eq!(plan.splits[1].files[0].label, 0);
    }

    #[test]
    fn the_order_depends_on_names_and_seed_only() {
        let listed = [folder(TRAIN, "a", 0..50), folder(TRAIN, "b", 0..50)];
        let mut otherwise = [folder(TRAIN, "b", 0..50), folder(TRAIN, "a", 0..50)];
        otherwise
            .iter_mut()
            .for_each(|folder| folder.files.reverse());
        let known = classes(&["a", "b"]);
        let order = keys(&plan(&listed, &known, 1, None), TRAIN);
        assert_eq!(order, keys(&plan(&otherwise, &known, 1, None), TRAIN));
        assert_ne!(order, keys(&plan(&listed, &known, 2, None), TRAIN));
        assert!(!order.is_sorted());
    }

    #[test]
    fn the_validation_part_is_drawn_from_each_class() {
        let folders = [folder(TRAIN, "a", 0..40), folder(TRAIN, "b", 0..10)];
        let plan = plan(&folders, &classes(&["a", "b"]), 3, Some(0.25));
        let val = keys(&plan, VAL);
        let of_class = |class: &str| val.iter().filter(|key| key.starts_with(class)).count();
        assert_eq!((of_class("a/"), of_class("b/")), (10, 3));
        assert_eq!(keys(&plan, TRAIN).len(), 37);
        assert!(keys(&plan, TRAIN).iter().all(|key| !val.contains(key)));
    }

    #[test]
    fn a_class_of_one_image_stays_in_train() {
        let plan = plan(&[folder(TRAIN, "a", 0..1)], &classes(&["a"]), 0, Some(0.9));
        assert_eq!(keys(&plan, TRAIN).len(), 1);
    }

    #[test]
    fn a_folder_that_is_no_class_is_left_out() {
        let folders = [folder(TRAIN, "a", 0..1), folder(TRAIN, "notes", 0..9)];
        let plan = plan(&folders, &classes(&["a"]), 0, None);
        assert_eq!(keys(&plan, TRAIN), ["a/0"]);
    }

    #[test]
    fn a_planned_file_knows_its_path() {
        let folders = [folder(TRAIN, "a", 0..1), folder(TRAIN, "b", 7..8)];
        let plan = plan(&folders, &classes(&["b"]), 0, None);
        assert_eq!(
            plan.splits[0].files[0].path(&folders),
            PathBuf::from("b/7.jpg")
        );
    }
}
