//! How the folders of a source are to be understood, from the paths of its files alone. Pure.
//!
//! Leading folders common to all images are left out when there are folders below them, as in `ILSVRC/Data/CLS-LOC/` of a download.
//! `train` and `val` are splits when one of them holds folders, or when no other folder holds images; else they are classes like
//! any other.

use std::collections::BTreeSet;

use crate::source::skipped::{BESIDE_SPLITS, NOT_IN_CLASS};
use crate::source::splits::{TEST, TRAIN, VAL};

/// What is seen of the files, one by one. Those that are named like images decide, if there are any: a folder of annotations
/// makes no class.
#[derive(Debug, Default)]
pub(super) struct Survey {
    num_files: u64,
    images: Folders,
    others: Folders,
}

/// The folders that files lie in.
#[derive(Debug, Default)]
struct Folders {
    /// The leading folders of all files so far.
    common: Option<Vec<Vec<u8>>>,
    /// Most folders above a file.
    deepest: usize,
    /// Fewest folders above a file.
    shallowest: usize,
    /// At which depths folders lie below a folder `train` or `val`.
    split_depths: BTreeSet<(usize, &'static str)>,
    /// At which depths files lie in such a folder.
    flat_depths: BTreeSet<(usize, &'static str)>,
    /// At which depths there are other folders.
    other_depths: BTreeSet<usize>,
}

/// How the paths of a source are read.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) num_files: u64,
    /// The leading folders that are left out.
    left_out: Vec<Vec<u8>>,
    has_folders: bool,
    /// Those of train and val that hold folders.
    splits: Vec<&'static str>,
    /// Those of train and val that hold files alone, where there are no classes beside them.
    flat_splits: Vec<&'static str>,
}

/// Where a file belongs.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Spot<'p> {
    /// In a class folder; `split` is `None` without split folders.
    Class {
        split: Option<&'static str>,
        class: &'p [u8],
        /// Its path below that folder.
        below: Vec<u8>,
    },
    /// Where there are no class folders.
    Flat(Option<&'static str>),
    /// Where no image belongs, and why.
    Stray(&'static str),
}

impl Survey {
    pub(super) fn add(&mut self, path: &[u8], is_image: bool) {
        self.num_files += 1;
        let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        match parts.split_last() {
            Some((_, folders)) if is_image => self.images.add(folders),
            // A README beside the folder of all images does not make it a class.
            Some((_, folders)) if !folders.is_empty() => self.others.add(folders),
            _ => {}
        }
    }

    pub(super) fn layout(self) -> Layout {
        let folders = match self.images.common {
            Some(_) => self.images,
            None => self.others,
        };
        folders.layout(self.num_files)
    }
}

impl Folders {
    fn add(&mut self, folders: &[&[u8]]) {
        self.deepest = self.deepest.max(folders.len());
        match &mut self.common {
            None => {
                self.common = Some(folders.iter().map(|part| part.to_vec()).collect());
                self.shallowest = folders.len();
            }
            Some(common) => {
                self.shallowest = self.shallowest.min(folders.len());
                let same = common.iter().zip(folders).take_while(|(a, b)| a == *b);
                let num_same = same.count();
                common.truncate(num_same);
            }
        }
        for (depth, part) in folders.iter().enumerate() {
            match split_called(part) {
                Some(split) if depth + 1 < folders.len() => {
                    self.split_depths.insert((depth, split));
                }
                Some(split) => {
                    self.flat_depths.insert((depth, split));
                }
                None if *part == TEST.as_bytes() => {}
                None => {
                    self.other_depths.insert(depth);
                }
            }
        }
    }

    fn is_above_splits(&self, depth: usize) -> bool {
        let depths = self.split_depths.union(&self.flat_depths);
        depths.into_iter().any(|(at, _)| *at == depth)
    }

    fn layout(self, num_files: u64) -> Layout {
        let mut left_out = self.common.clone().unwrap_or_default();
        let above_classes = match left_out.len() {
            depth if self.shallowest == depth && !self.is_above_splits(depth) => {
                depth.saturating_sub(1)
            }
            depth => depth.min(self.deepest.saturating_sub(1)),
        };
        // `train` alone at the top is a split, not a folder to be left out.
        let num_left_out = left_out[..above_classes]
            .iter()
            .position(|part| split_called(part).is_some())
            .unwrap_or(above_classes);
        left_out.truncate(num_left_out);
        let are_in = |depths: &BTreeSet<(usize, &'static str)>| -> Vec<&'static str> {
            let is_in = |split: &&'static str| depths.contains(&(num_left_out, *split));
            [TRAIN, VAL].into_iter().filter(is_in).collect()
        };
        let splits = are_in(&self.split_depths);
        let mut flat_splits = are_in(&self.flat_depths);
        flat_splits.retain(|split| !splits.contains(split));
        if splits.is_empty() && self.other_depths.contains(&num_left_out) {
            flat_splits.clear();
        }
        Layout {
            num_files,
            left_out,
            has_folders: self.deepest > 0,
            flat_splits,
            splits,
        }
    }
}

impl Layout {
    /// The folders that hold class folders, below what is left out.
    pub(super) fn above_classes(&self) -> Vec<Vec<u8>> {
        let base = self.left_out.join(&b'/');
        let splits = self.splits.iter().chain(&self.flat_splits);
        let below = splits.map(|split| match base.is_empty() {
            true => split.as_bytes().to_vec(),
            false => [&base[..], split.as_bytes()].join(&b'/'),
        });
        let below: Vec<Vec<u8>> = below.collect();
        if below.is_empty() { vec![base] } else { below }
    }

    /// The leading folders that are left out; none if there are none.
    pub(super) fn left_out(&self) -> Option<Vec<u8>> {
        (!self.left_out.is_empty()).then(|| self.left_out.join(&b'/'))
    }

    pub(super) fn spot<'p>(&self, path: &'p [u8]) -> Spot<'p> {
        let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        let below = |depth: usize| parts[depth..].join(&b'/');
        let at = self.left_out.len();
        if !parts
            .iter()
            .zip(&self.left_out)
            .all(|(part, left_out)| part == left_out)
        {
            return Spot::Stray(NOT_IN_CLASS);
        }
        match parts.get(at..).unwrap_or_default() {
            [_] if !self.has_folders => Spot::Flat(None),
            [] | [_] => Spot::Stray(NOT_IN_CLASS),
            _ if !self.has_folders => Spot::Stray(NOT_IN_CLASS),
            [class, ..] if self.splits.is_empty() && self.flat_splits.is_empty() => Spot::Class {
                split: None,
                class,
                below: below(at + 1),
            },
            [split, rest @ ..] => match (split_called(split), rest) {
                (None, _) => Spot::Stray(BESIDE_SPLITS),
                (Some(split), [_]) if self.splits.contains(&split) => Spot::Stray(NOT_IN_CLASS),
                (Some(split), [_, _, ..]) if self.flat_splits.contains(&split) => {
                    Spot::Stray(NOT_IN_CLASS)
                }
                (split, [class, _, ..]) => Spot::Class {
                    split,
                    class,
                    below: below(at + 2),
                },
                (split, _) => Spot::Flat(split),
            },
        }
    }
}

fn split_called(folder: &[u8]) -> Option<&'static str> {
    [TRAIN, VAL]
        .into_iter()
        .find(|split| split.as_bytes() == folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::lines::is_image_name;

    /// `split:class:below` of each path, `?` where the split is not said, or why it is none.
    fn spots(paths: &[&str]) -> Vec<String> {
        let mut survey = Survey::default();
        paths
            .iter()
            .for_each(|path| survey.add(path.as_bytes(), is_image_name(path.as_bytes())));
        let layout = survey.layout();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let spot = |path: &&str| match layout.spot(path.as_bytes()) {
            Spot::Class {
                split,
                class,
                below,
            } => format!("{}:{}:{}", split.unwrap_or("?"), text(class), text(&below)),
            Spot::Flat(split) => format!("flat {}", split.unwrap_or("?")),
            Spot::Stray(reason) => reason.to_owned(),
        };
        paths.iter().map(spot).collect()
    }

    #[test]
    fn class_folders_alone_are_classes_even_if_there_is_one() {
        assert_eq!(
            spots(&["cat/a.jpg", "dog/x/b.jpg"]),
            ["?:cat:a.jpg", "?:dog:x/b.jpg"]
        );
        assert_eq!(
            spots(&["cat/a.jpg", "cat/b.jpg"]),
            ["?:cat:a.jpg", "?:cat:b.jpg"]
        );
        assert_eq!(spots(&["a.jpg"]), ["flat ?"]);
    }

    #[test]
    fn leading_folders_with_folders_below_are_left_out() {
        let expected = ["?:cat:a.jpg", "?:dog:b.jpg", NOT_IN_CLASS, NOT_IN_CLASS];
        let paths = [
            "me/photos/cat/a.jpg",
            "me/photos/dog/b.jpg",
            "me/photos/note",
            "README",
        ];
        assert_eq!(spots(&paths), expected);
        assert_eq!(
            spots(&["photos/cat/a.jpg", "photos/cat/b.jpg"])[0],
            "?:cat:a.jpg"
        );
        assert_eq!(
            spots(&["cat/x/a.jpg", "cat/b.jpg"]),
            ["?:cat:x/a.jpg", "?:cat:b.jpg"]
        );
        assert_eq!(
            spots(&["p/train/cat/a.jpg", "p/logo.png"]),
            ["train:cat:a.jpg", NOT_IN_CLASS]
        );
    }

    #[test]
    fn an_image_beside_a_folder_keeps_it_a_class() {
        assert_eq!(
            spots(&["cat/x/a.jpg", "b.jpg"]),
            ["?:cat:x/a.jpg", NOT_IN_CLASS]
        );
    }

    #[test]
    fn split_folders_are_recognised_below_what_is_left_out() {
        let expected = [
            "train:cat:a.jpg",
            "val:cat:x/b.jpg",
            BESIDE_SPLITS,
            NOT_IN_CLASS,
        ];
        let paths = [
            "p/train/cat/a.jpg",
            "p/val/cat/x/b.jpg",
            "p/test/c.jpg",
            "p/val/list",
        ];
        assert_eq!(spots(&paths), expected);
        assert_eq!(
            spots(&["val/cat/a.jpg", "val/cat/b.jpg"])[0],
            "val:cat:a.jpg"
        );
        assert_eq!(spots(&["train/cat/a.jpg", "val/b.jpg"])[1], "flat val");
    }

    #[test]
    fn train_and_val_without_other_folders_are_splits_even_if_they_are_flat() {
        assert_eq!(spots(&["photos/train/a.jpg"]), ["flat train"]);
        assert_eq!(
            spots(&["train/a.jpg", "val/b.jpg", "test/c.jpg"]),
            ["flat train", "flat val", BESIDE_SPLITS]
        );
        assert_eq!(
            spots(&["train/a.jpg", "annotations/a.xml"])[0],
            "flat train"
        );
        assert_eq!(
            spots(&["train/a.jpg", "plane/b.jpg"]),
            ["?:train:a.jpg", "?:plane:b.jpg"]
        );
    }

    #[test]
    fn folders_without_images_beside_images_are_no_classes() {
        assert_eq!(spots(&["a.jpg", "meta/x.txt"]), ["flat ?", NOT_IN_CLASS]);
        assert_eq!(
            spots(&["train/a.jpg", "train/meta/x.txt"]),
            ["flat train", NOT_IN_CLASS]
        );
    }

    #[test]
    fn folders_without_images_do_not_count() {
        let paths = [
            "k/Annotations/cat/a.xml",
            "k/Data/train/cat/a.jpg",
            "k/Data/val/cat/b.jpg",
        ];
        assert_eq!(
            spots(&paths),
            [NOT_IN_CLASS, "train:cat:a.jpg", "val:cat:b.jpg"]
        );
    }
}
