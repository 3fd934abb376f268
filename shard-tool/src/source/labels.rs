//! Labels that stand in a file of their own, for images that lie in no class folder: the ground truth of the ImageNet
//! devkit (a number per image, in order of name), or a list `file,label`. It knows nothing of the classes of train, so that
//! a label that is a number is a name like any other here.

use std::cell::Cell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use shard_format::name;
use xxhash_rust::xxh3::xxh3_128;

use super::devkit;
use super::lines::{base_name, image_and_class, without_extension};
use super::text_file::each_line;
use crate::error::ToolError;

/// The classes of images by name.
#[derive(Debug, Default)]
pub(crate) enum Labels {
    /// None were given.
    #[default]
    None,
    /// By file name without extension.
    ByName(ByName),
    /// Of `<anything>_<number>.<extension>`, numbered from 1.
    ByNumber(Vec<String>),
}

/// A list `file,label`, compactly.
#[derive(Debug, Default)]
pub(crate) struct ByName {
    classes: Vec<String>,
    /// Position of the class, and whether it was asked for, by digest of the name.
    by_name: HashMap<u128, (u32, Cell<bool>)>,
}

/// What the labels say of an image.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said<'a> {
    Class(&'a str),
    /// There are labels, but none for this image.
    Unknown,
    /// There are no labels.
    NoLabels,
}

impl Labels {
    /// Reads `file` (`--labels`), else the devkit among `sources`, if there is one.
    pub(crate) fn load(file: Option<&Path>, sources: &[PathBuf]) -> Result<Self, ToolError> {
        let devkit = || sources.iter().find(|path| devkit::is_devkit(path));
        match file {
            Some(file) if devkit::is_devkit(file) => devkit::load(file).map(Self::ByNumber),
            Some(file) => Self::load_text(file),
            None => match devkit() {
                Some(file) => devkit::load(file).map(Self::ByNumber),
                None => Ok(Self::None),
            },
        }
    }

    fn load_text(file: &Path) -> Result<Self, ToolError> {
        let (mut list, mut ids) = (ByName::default(), Vec::new());
        let mut numbers = HashMap::new();
        each_line(file, |number, line| {
            let line = line.trim_ascii();
            if line.is_empty() || (number == 1 && is_heading(line)) {
                return Ok(());
            }
            if is_number(line) && list.by_name.is_empty() {
                ids.extend_from_slice(line);
                ids.push(b'\n');
                return Ok(());
            }
            let pair = image_and_class(line).filter(|_| ids.is_empty());
            let place = || format!("{} line {number}", file.display());
            let (image, class) = pair.ok_or_else(|| {
                ToolError::data("this line is not `file,class`", place(), "correct it")
            })?;
            let next = list.classes.len() as u32;
            let class = *numbers.entry(class.to_vec()).or_insert_with(|| {
                list.classes.push(name::escape_class(class));
                next
            });
            let known = (class, Cell::new(false));
            match list.by_name.insert(xxh3_128(image), known) {
                Some((before, _)) if before != class => Err(ToolError::data(
                    format_args!(
                        "an image gets another class than in a line before: `{}`",
                        String::from_utf8_lossy(image)
                    ),
                    place(),
                    "keep one of the lines (images are known by name, without folder and extension)",
                )),
                _ => Ok(()),
            }
        })?;
        if ids.is_empty() {
            return Ok(Self::ByName(list));
        }
        devkit::load_beside(file, &ids).map(Self::ByNumber)
    }

    /// Whether all labels are decimal numbers.
    pub(crate) fn are_numbers(&self) -> bool {
        match self {
            Self::ByName(list) => list.classes.iter().all(|class| is_number(class.as_bytes())),
            _ => false,
        }
    }

    /// How many names of a list were never asked for.
    pub(crate) fn num_unused(&self) -> u64 {
        match self {
            Self::ByName(list) => {
                let labels = list.by_name.values();
                labels.filter(|(_, is_used)| !is_used.get()).count() as u64
            }
            _ => 0,
        }
    }

    /// What they say of the image of this name.
    pub(crate) fn say(&self, image: &[u8]) -> Said<'_> {
        match self {
            Self::None => Said::NoLabels,
            _ => self.class_of(image).map_or(Said::Unknown, Said::Class),
        }
    }

    fn class_of(&self, image: &[u8]) -> Option<&str> {
        let stem = without_extension(base_name(image));
        match self {
            Self::None => None,
            Self::ByName(list) => {
                let (class, is_used) = list.by_name.get(&xxh3_128(stem))?;
                is_used.set(true);
                list.classes.get(*class as usize).map(String::as_str)
            }
            Self::ByNumber(classes) => {
                let digits = stem
                    .iter()
                    .rposition(|byte| *byte == b'_')
                    .map(|at| &stem[at + 1..])?;
                let number: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
                classes.get(number.checked_sub(1)?).map(String::as_str)
            }
        }
    }
}

/// Kaggle's list starts with the names of its columns.
fn is_heading(line: &[u8]) -> bool {
    line.to_ascii_lowercase().starts_with(b"imageid,")
}

/// Whether this is a decimal number.
fn is_number(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn load(text: &str) -> Labels {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("labels.csv");
        fs::write(&file, text).expect("written");
        Labels::load(Some(&file), &[]).expect("loads")
    }

    #[test]
    fn a_list_may_use_commas_tabs_or_blanks_and_name_folders_and_extensions() {
        let labels = load("a.JPEG,cat\nval/b.JPEG\tdog\nc red fox\n");
        assert_eq!(labels.class_of(b"a.JPEG"), Some("cat"));
        assert_eq!(labels.class_of(b"x/b.JPEG"), Some("dog"));
        assert_eq!(labels.class_of(b"c.png"), Some("red fox"));
        assert_eq!(labels.class_of(b"d.png"), None);
    }

    #[test]
    fn the_list_of_kaggle_is_read_with_its_heading_and_boxes() {
        let labels =
            load("ImageId,PredictionString\nILSVRC2012_val_00048981,n03995372 85 1 499 272\n");
        assert_eq!(
            labels.class_of(b"ILSVRC2012_val_00048981.JPEG"),
            Some("n03995372")
        );
        assert_eq!(labels.class_of(b"ImageId"), None);
    }

    #[test]
    fn lists_of_numbers_are_told_from_lists_of_names() {
        assert!(load("a.JPEG,0\nb.JPEG,12\n").are_numbers());
        assert!(!load("a.JPEG,0\nb.JPEG,cat\n").are_numbers());
        assert!(!Labels::None.are_numbers());
    }

    #[test]
    fn ids_and_pairs_do_not_mix() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("labels");
        for (text, bad) in [("7\n8\na.JPEG,cat\n", 3), ("a.JPEG,cat\n7\n", 2)] {
            fs::write(&file, text).expect("written");
            let error = Labels::load(Some(&file), &[]).expect_err("refused");
            let told = format!("labels line {bad}; correct it");
            assert!(error.to_string().ends_with(&told), "{error}");
        }
    }

    #[test]
    fn numbered_images_get_the_class_of_their_line() {
        let labels = Labels::ByNumber(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(labels.class_of(b"ILSVRC2012_val_00000002.JPEG"), Some("b"));
        assert_eq!(labels.class_of(b"ILSVRC2012_val_00000000.JPEG"), None);
        assert_eq!(labels.class_of(b"ILSVRC2012_val_00000003.JPEG"), None);
    }
}
