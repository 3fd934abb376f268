//! Which candidates are wanted: those that a file names (`--subset`), or so many of each class (`--per-class`). Only the
//! training split is cut; validation stays whole.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use fixedbitset::FixedBitSet;
use shard_format::name;

use super::catalogue::Candidate;
use super::lines::{Wanted, base_name, wanted};
use super::{Catalogue, Selection, TRAIN, image_folder};
use crate::cli::PackOptions;
use crate::error::ToolError;
use crate::order;

/// How many unknown names a message lists.
const NUM_NAMED: usize = 5;
/// Distinguishes this draw from those of the order and of the validation part.
const SUBSET_SEED: u64 = 0x5eed_0f50_b5e7_0000;
/// Names that are sorted at once, unless one class has more.
const NUM_SORTED: usize = 500_000;

/// The wanted candidates.
///
/// # Errors
/// If the subset file cannot be read, or names what is not there.
pub(super) fn select(
    catalogue: &Catalogue,
    options: &PackOptions,
) -> Result<FixedBitSet, ToolError> {
    let mut train = FixedBitSet::with_capacity(catalogue.len());
    catalogue.each(|candidate| {
        let is_train = candidate.group.split == TRAIN;
        train.set(candidate.number as usize, is_train);
        Ok(())
    })?;
    let mut selected = train.clone();
    selected.toggle_range(..);
    if let Some(file) = &options.subset {
        train = named(catalogue, &train, file)?;
    }
    if let Some(number) = options.per_class {
        let seed = options.seed ^ SUBSET_SEED;
        let countable = Selection::new(catalogue, &train).countable()?;
        let countable = Selection::new(catalogue, &countable);
        train = order::draw(&countable, seed, |_| number.into())?;
    }
    selected.union_with(&train);
    Ok(selected)
}

/// The candidates that the lines of `file` name.
fn named(
    catalogue: &Catalogue,
    train: &FixedBitSet,
    file: &Path,
) -> Result<FixedBitSet, ToolError> {
    let text = fs::read_to_string(file).map_err(ToolError::read(file))?;
    let lines: Vec<&str> = text
        .trim_start_matches('\u{feff}')
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    if lines.is_empty() {
        return Err(ToolError::EmptySubset(file.to_owned()));
    }
    let search = Search { catalogue, train };
    let mut found = vec![None; lines.len()];
    search.find_names(&lines, &mut found)?;
    search.find_indices(&lines, &mut found)?;
    let is_unknown =
        |(line, found): (&&str, &Option<u32>)| found.is_none().then(|| (*line).to_owned());
    let unknown: Vec<String> = lines.iter().zip(&found).filter_map(is_unknown).collect();
    if !unknown.is_empty() {
        return Err(ToolError::UnknownInSubset {
            path: file.to_owned(),
            num_unknown: unknown.len(),
            first: unknown[..unknown.len().min(NUM_NAMED)].join(", "),
        });
    }
    let mut selected = FixedBitSet::with_capacity(catalogue.len());
    selected.extend(found.into_iter().flatten().map(|number| number as usize));
    Ok(selected)
}

/// Looks for lines of a subset among the candidates of train.
struct Search<'a> {
    catalogue: &'a Catalogue,
    train: &'a FixedBitSet,
}

/// Class of a candidate; `None` without label.
type Class<'a> = Option<&'a str>;

impl<'a> Search<'a> {
    fn each(&self, mut visit: impl FnMut(&Candidate<'_>)) -> Result<(), ToolError> {
        self.catalogue.each(|candidate| {
            if self.train.contains(candidate.number as usize) {
                visit(&candidate);
            }
            Ok(())
        })
    }

    /// Finds the only candidate of each name; a name may start with its class.
    fn find_names(&self, lines: &[&str], found: &mut [Option<u32>]) -> Result<(), ToolError> {
        let mut by_name: HashMap<&[u8], Vec<(usize, Class<'_>)>> = HashMap::new();
        for (at, line) in lines.iter().enumerate() {
            if let Wanted::Name(name) = wanted(line) {
                let class = name.rsplit('/').nth(1);
                let line = by_name.entry(base_name(name.as_bytes())).or_default();
                line.push((at, class));
            }
        }
        if by_name.is_empty() {
            return Ok(());
        }
        let mut num_found = vec![0u32; lines.len()];
        self.each(|candidate| {
            let class = candidate.group.class.as_deref();
            let named = by_name
                .get(base_name(&candidate.name))
                .into_iter()
                .flatten();
            for (at, _) in named.filter(|(_, wanted)| wanted.is_none() || *wanted == class) {
                num_found[*at] += 1;
                found[*at] = (num_found[*at] == 1).then_some(candidate.number);
            }
        })
    }

    /// Finds what an index stands for: it counts through the images as [`image_folder`] numbers them.
    fn find_indices(&self, lines: &[&str], found: &mut [Option<u32>]) -> Result<(), ToolError> {
        let indices = lines
            .iter()
            .enumerate()
            .filter_map(|(at, line)| match wanted(line) {
                Wanted::Index(index) => Some((index, at)),
                Wanted::Name(_) => None,
            });
        let mut indices: Vec<(usize, usize)> = indices.collect();
        indices.sort_unstable();
        if indices.is_empty() {
            return Ok(());
        }
        let mut start = 0;
        let mut batch = Batch::default();
        for (class, num_files) in self.num_images()? {
            let place = |bound: usize| indices.partition_point(|(index, _)| *index < bound);
            let of_class = &indices[place(start)..place(start + num_files)];
            let ranks: Vec<(usize, usize)> = of_class
                .iter()
                .map(|(index, at)| (index - start, *at))
                .collect();
            start += num_files;
            if !ranks.is_empty() {
                batch.num_files += num_files;
                batch.ranks.push((class, ranks));
            }
            if batch.num_files > NUM_SORTED {
                self.find_batch(std::mem::take(&mut batch), found)?;
            }
        }
        self.find_batch(batch, found)
    }

    fn find_batch(&self, batch: Batch<'_>, found: &mut [Option<u32>]) -> Result<(), ToolError> {
        let place = |class: Class<'_>| batch.ranks.iter().position(|(known, _)| *known == class);
        let groups = self.catalogue.groups().iter();
        let places: Vec<Option<usize>> =
            groups.map(|group| place(group.class.as_deref())).collect();
        let mut names: Vec<Vec<(Vec<u8>, u32)>> = vec![Vec::new(); batch.ranks.len()];
        self.each(|candidate| {
            let is_image = image_folder::place(&candidate.name).is_some();
            if let Some(place) = places[candidate.group_number].filter(|_| is_image) {
                names[place].push((candidate.name.to_vec(), candidate.number));
            }
        })?;
        for (names, (_, ranks)) in names.iter_mut().zip(batch.ranks) {
            names.sort_unstable_by(|(left, _), (right, _)| {
                image_folder::place(left).cmp(&image_folder::place(right))
            });
            for (rank, at) in ranks {
                found[at] = Some(names[rank].1);
            }
        }
        Ok(())
    }

    /// The images of each class, in the order of the classes.
    fn num_images(&self) -> Result<Vec<(Class<'a>, usize)>, ToolError> {
        let groups = self.catalogue.groups();
        let mut by_group = vec![0; groups.len()];
        self.each(|candidate| {
            let place = image_folder::place(&candidate.name);
            by_group[candidate.group_number] += usize::from(place.is_some());
        })?;
        let mut by_class: BTreeMap<Vec<u8>, (Class<'a>, usize)> = BTreeMap::new();
        for (group, number) in groups.iter().zip(by_group) {
            let class = group.class.as_deref();
            let name = class.map(name::unescape).unwrap_or_default();
            by_class.entry(name).or_insert((class, 0)).1 += number;
        }
        Ok(by_class.into_values().collect())
    }
}

/// Classes whose names are sorted at once, each with ranks in it and the lines that ask for them.
#[derive(Default)]
struct Batch<'a> {
    num_files: usize,
    ranks: Vec<(Class<'a>, Vec<(usize, usize)>)>,
}
