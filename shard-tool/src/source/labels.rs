//! Labels that stand in a file of their own, for images that lie in no class folder: the ground truth of the ImageNet
//! devkit (a number per image, in order of name), or a list `file,label`.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use shard_format::name;

use super::devkit;
use super::lines::{base_name, image_and_class, without_extension};
use crate::error::ToolError;

/// The classes of images by name.
#[derive(Debug, Default)]
pub(crate) enum Labels {
    /// None were given.
    #[default]
    None,
    /// By file name without extension.
    ByName(HashMap<Vec<u8>, String>),
    /// Of `<anything>_<number>.<extension>`, numbered from 1.
    ByNumber(Vec<String>),
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
        let text = fs::read(file).map_err(ToolError::read(file))?;
        let is_number = |line: &[u8]| !line.is_empty() && line.iter().all(u8::is_ascii_digit);
        let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        if lines.clone().all(|line| line.is_empty() || is_number(line)) {
            return devkit::load_beside(file, &text).map(Self::ByNumber);
        }
        let mut classes = HashMap::new();
        // Kaggle's list starts with the names of its columns.
        let is_heading = |line: &[u8]| line.to_ascii_lowercase().starts_with(b"imageid,");
        if lines.clone().next().is_some_and(is_heading) {
            lines.next();
        }
        for (number, line) in (1..).zip(lines).filter(|(_, line)| !line.is_empty()) {
            let (image, class) = image_and_class(line).ok_or_else(|| ToolError::LabelLine {
                path: file.to_owned(),
                line: number,
            })?;
            classes.insert(image.to_vec(), name::escape_class(class));
        }
        Ok(Self::ByName(classes))
    }

    pub(crate) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The class of the image of this name, if it is known.
    pub(crate) fn class_of(&self, image: &[u8]) -> Option<&str> {
        let image = base_name(image);
        match self {
            Self::None => None,
            Self::ByName(classes) => classes.get(without_extension(image)).map(String::as_str),
            Self::ByNumber(classes) => {
                let stem = without_extension(image);
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

#[cfg(test)]
mod tests {
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
        assert_eq!(labels.class_of(b"c.png"), Some("red"));
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
    fn numbered_images_get_the_class_of_their_line() {
        let labels = Labels::ByNumber(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(labels.class_of(b"ILSVRC2012_val_00000002.JPEG"), Some("b"));
        assert_eq!(labels.class_of(b"ILSVRC2012_val_00000000.JPEG"), None);
        assert_eq!(labels.class_of(b"ILSVRC2012_val_00000003.JPEG"), None);
    }
}
