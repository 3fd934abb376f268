//! How the folders of an archive are to be understood, from the paths of its members alone. Pure.
//!
//! The rules are those for folders on disk. A leading folder common to all members is left out when there are folders below
//! it, as `tar cf photos.tar photos` makes it; so is the next one. A tar inside of the archive counts as a folder.

use std::collections::BTreeSet;

use super::super::lines::is_image_name;
use super::super::{BESIDE_SPLITS, NOT_IN_CLASS, TRAIN, VAL};

/// What is seen of the members, one by one.
#[derive(Debug, Default)]
pub(super) struct Survey {
    num_files: u64,
    /// The leading folders of all members so far.
    common: Option<Vec<Vec<u8>>>,
    /// Most folders above a member.
    deepest: usize,
    /// At which depths folders lie below a folder `train` or `val`.
    split_depths: BTreeSet<(usize, &'static str)>,
}

/// How the paths of an archive are read.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) num_files: u64,
    /// How many leading folders are left out.
    num_left_out: usize,
    /// These, for a note.
    left_out: Vec<u8>,
    has_folders: bool,
    /// Those of train and val that hold folders.
    splits: Vec<&'static str>,
}

/// Where a member belongs.
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
    pub(super) fn add(&mut self, path: &[u8]) {
        self.num_files += 1;
        let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        let Some((file, folders)) = parts.split_last() else {
            return;
        };
        // A README beside the folder of all images does not make it a class.
        if folders.is_empty() && !is_image_name(file) {
            return;
        }
        self.deepest = self.deepest.max(folders.len());
        match &mut self.common {
            None => self.common = Some(folders.iter().map(|part| part.to_vec()).collect()),
            Some(common) => {
                let same = common.iter().zip(folders).take_while(|(a, b)| a == *b);
                let num_same = same.count();
                common.truncate(num_same);
            }
        }
        let above_folders = folders.iter().take(folders.len().saturating_sub(1));
        let splits = above_folders.enumerate().filter_map(|(depth, part)| {
            let split = split_called(part)?;
            Some((depth, split))
        });
        self.split_depths.extend(splits);
    }

    pub(super) fn layout(self) -> Layout {
        let common = self.common.unwrap_or_default();
        let above_classes = common.len().min(self.deepest.saturating_sub(1));
        // `train` alone at the top is a split, not a folder to be left out.
        let num_left_out = common[..above_classes]
            .iter()
            .position(|part| split_called(part).is_some())
            .unwrap_or(above_classes);
        let splits = [TRAIN, VAL]
            .into_iter()
            .filter(|split| self.split_depths.contains(&(num_left_out, split)));
        Layout {
            num_files: self.num_files,
            num_left_out,
            left_out: common[..num_left_out].join(&b'/'),
            has_folders: self.deepest > 0,
            splits: splits.collect(),
        }
    }
}

impl Layout {
    /// The leading folders that are left out; none if there are none.
    pub(super) fn left_out(&self) -> Option<&[u8]> {
        (self.num_left_out > 0).then_some(&self.left_out)
    }

    pub(super) fn spot<'p>(&self, path: &'p [u8]) -> Spot<'p> {
        let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        let below = |depth: usize| parts[depth..].join(&b'/');
        let at = self.num_left_out;
        match parts.get(at..).unwrap_or_default() {
            [_] if !self.has_folders => Spot::Flat(None),
            [] | [_] => Spot::Stray(NOT_IN_CLASS),
            [class, ..] if self.splits.is_empty() => Spot::Class {
                split: None,
                class,
                below: below(at + 1),
            },
            [split, rest @ ..] => match (split_called(split), rest) {
                (None, _) => Spot::Stray(BESIDE_SPLITS),
                (Some(split), [_]) if self.splits.contains(&split) => Spot::Stray(NOT_IN_CLASS),
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

    /// `split:class:below` of each path, `?` where the split is not said, or why it is none.
    fn spots(paths: &[&str]) -> Vec<String> {
        let mut survey = Survey::default();
        paths.iter().for_each(|path| survey.add(path.as_bytes()));
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
        assert_eq!(spots(&["photos/train/a.jpg"]), ["?:train:a.jpg"]);
    }
}
