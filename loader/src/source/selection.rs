//! Which samples of a split a stream serves: all of them, or those that a list names.
//!
//! A name is that of an image file, with or without extension, alone or behind its class (or the folder in its key). Served are the samples,
//! in the order of their ids whatever the order of the names. It knows neither epochs nor views.

use std::collections::HashMap;
use std::sync::Arc;

use loader_ipc::{ErrorKind, Reason};
use shard_format::{FormatError, Sample};

use super::samples::Samples;
use crate::set_error;

/// Names that a message lists.
const NUM_TOLD: usize = 3;
/// What a file name may end with; other endings belong to the name.
const EXTENSIONS: [&str; 8] = ["jpg", "jpeg", "png", "bmp", "gif", "tif", "tiff", "webp"];

/// The samples that a stream serves. A clone shares the list.
#[derive(Debug, Clone)]
pub struct Selection {
    num_samples: u64,
    /// Rising; `None` for all.
    ids: Option<Arc<[u64]>>,
}

/// A name taken apart.
struct Wanted<'a> {
    class: Option<&'a str>,
    found: Option<u64>,
}

impl Selection {
    /// All of a split.
    pub fn all(set: &Samples) -> Selection {
        Selection {
            num_samples: set.num_samples(),
            ids: None,
        }
    }

    /// Those that `names` name.
    ///
    /// # Errors
    /// When not every name is of one sample, and of one of its own.
    pub fn named(set: &Samples, names: &[String]) -> Result<Selection, Reason> {
        let (num_names, wrong) = (names.len(), |what, remedy| wrong(set, what, remedy));
        if num_names == 0 {
            return Err(wrong(
                "the subset names no image".to_owned(),
                "name at least one",
            ));
        }
        let ids = resolve(set, names)?;
        let unknown = names.iter().zip(&ids).filter(|(_, id)| id.is_none());
        let unknown: Vec<&str> = unknown.map(|(name, _)| name.as_str()).collect();
        if !unknown.is_empty() {
            let first = unknown[..unknown.len().min(NUM_TOLD)].join(", ");
            let num_unknown = unknown.len();
            let what = format!(
                "{num_unknown} of the {num_names} images of the subset are not in the data set: {first}"
            );
            return Err(wrong(what, "take the list of this data set"));
        }
        let mut named: Vec<(u64, &String)> = ids.into_iter().flatten().zip(names).collect();
        named.sort_unstable();
        if let Some(pair) = named.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let what = format!("the subset names `{}` twice", pair[1].1);
            return Err(wrong(what, "name it once"));
        }
        Ok(Selection {
            num_samples: named.len() as u64,
            ids: Some(named.into_iter().map(|(id, _)| id).collect()),
        })
    }

    /// How many there are.
    pub fn num_samples(&self) -> u64 {
        self.num_samples
    }

    /// How many of them have no label. Looks at each, unless every sample of the split has one.
    ///
    /// # Errors
    /// If an index is damaged.
    pub fn num_unlabelled(&self, set: &Samples) -> Result<u64, FormatError> {
        if set.is_all_labelled() {
            return Ok(0);
        }
        let mut num = 0;
        for place in 0..self.num_samples {
            num += u64::from(set.sample(self.id(place))?.label.is_none());
        }
        Ok(num)
    }

    /// The id of the one at `place`, which is below their number.
    pub fn id(&self, place: u64) -> u64 {
        match &self.ids {
            Some(ids) => ids[place as usize],
            None => place,
        }
    }

    /// The id that comes `distance` after the selected `id`; after the last one comes the first.
    pub fn after(&self, id: u64, distance: u64) -> u64 {
        let place = match &self.ids {
            Some(ids) => ids.partition_point(|other| *other < id) as u64,
            None => id,
        };
        self.id((place + distance) % self.num_samples)
    }
}

/// The sample of each name.
fn resolve(set: &Samples, names: &[String]) -> Result<Vec<Option<u64>>, Reason> {
    let mut wanted = Vec::with_capacity(names.len());
    let mut by_stem: HashMap<&str, Vec<usize>> = HashMap::with_capacity(names.len());
    for (number, name) in names.iter().enumerate() {
        let (class, stem) = class_and_stem(name);
        by_stem.entry(stem).or_default().push(number);
        wanted.push(Wanted { class, found: None });
    }
    for (id, sample) in set.samples().enumerate() {
        let sample = sample.map_err(|error| set_error::reason(&error))?;
        let (folder, stem) = folder_and_base(sample.key);
        for &number in by_stem.get(stem).into_iter().flatten() {
            let Wanted { class, found } = &mut wanted[number];
            if !class.is_none_or(|class| Some(class) == folder || is_of(set, &sample, class)) {
                continue;
            }
            if found.replace(id as u64).is_some() {
                let name = &names[number];
                let what = format!("the subset's `{name}` is the name of several images");
                return Err(wrong(set, what, "write its class before it, as CLASS/FILE"));
            }
        }
    }
    Ok(wanted.into_iter().map(|wanted| wanted.found).collect())
}

fn wrong(set: &Samples, what: String, remedy: &str) -> Reason {
    let place = format!("split `{}`", set.split());
    Reason::new(ErrorKind::Data, what, place, remedy)
}

fn is_of(set: &Samples, sample: &Sample<'_>, class: &str) -> bool {
    let label = sample.label;
    label.is_some_and(|label| set.classes()[label as usize] == class)
}

/// The last folder of a path, if it has one, and what comes after.
fn folder_and_base(path: &str) -> (Option<&str>, &str) {
    match path.rsplit_once('/') {
        Some((folders, base)) => (folders.rsplit('/').next(), base),
        None => (None, path),
    }
}

fn class_and_stem(name: &str) -> (Option<&str>, &str) {
    let (class, base) = folder_and_base(name);
    let stem = match base.rsplit_once('.') {
        Some((stem, extension)) if is_image_extension(extension) => stem,
        _ => base,
    };
    (class, stem)
}

fn is_image_extension(extension: &str) -> bool {
    let mut known = EXTENSIONS.iter();
    known.any(|known| known.eq_ignore_ascii_case(extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_stem_behind_its_class_if_that_is_written() {
        for (name, wanted) in [
            ("n01/n01_5.JPEG", (Some("n01"), "n01_5")),
            ("train/n01/n01_5", (Some("n01"), "n01_5")),
            ("a.b.jpg", (None, "a.b")),
            ("a.b", (None, "a.b")),
        ] {
            assert_eq!(class_and_stem(name), wanted, "{name}");
        }
    }

    #[test]
    fn neighbours_are_counted_among_the_selected_alone() {
        let few = Selection {
            num_samples: 3,
            ids: Some(Arc::new([2, 5, 9])),
        };
        let after = |id, distance| few.after(id, distance);
        assert_eq!((after(5, 0), after(5, 1), after(9, 1)), (5, 9, 2));
        let all = Selection {
            num_samples: 10,
            ids: None,
        };
        assert_eq!((all.after(9, 1), all.id(4)), (0, 4));
    }
}
