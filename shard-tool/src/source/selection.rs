//! Some candidates of a catalogue, as drawing and sorting see them.

use std::collections::BTreeMap;

use fixedbitset::FixedBitSet;

use super::catalogue::{Candidate, Catalogue, Group};
use super::lines::is_image_name;
use crate::error::ToolError;
use crate::order::Keyed;

/// The candidates that are wanted, for drawing and sorting. A class is the place of the first group that has it.
#[derive(Debug)]
pub(crate) struct Selection<'a> {
    catalogue: &'a Catalogue,
    wanted: &'a FixedBitSet,
    /// By group.
    classes: Vec<usize>,
}

impl<'a> Selection<'a> {
    pub(crate) fn new(catalogue: &'a Catalogue, wanted: &'a FixedBitSet) -> Self {
        let groups = catalogue.groups();
        let mut known = BTreeMap::new();
        let number = |(place, group): (usize, &'a Group)| {
            *known.entry(group.class.as_deref()).or_insert(place)
        };
        Self {
            catalogue,
            wanted,
            classes: groups.iter().enumerate().map(number).collect(),
        }
    }

    /// Those that a draw counts: what is named like an image, or every file of a class in which nothing is.
    pub(crate) fn countable(&self) -> Result<FixedBitSet, ToolError> {
        let mut named = FixedBitSet::with_capacity(self.catalogue.len());
        let mut has_named = FixedBitSet::with_capacity(self.num_classes());
        self.each_candidate(|candidate, class| {
            if is_image_name(&candidate.name) {
                named.insert(candidate.number as usize);
                has_named.insert(class);
            }
        })?;
        let mut countable = named;
        self.each_candidate(|candidate, class| {
            if !has_named.contains(class) {
                countable.insert(candidate.number as usize);
            }
        })?;
        Ok(countable)
    }

    /// Each with its class.
    fn each_candidate(
        &self,
        mut visit: impl FnMut(&Candidate<'_>, usize),
    ) -> Result<(), ToolError> {
        self.catalogue.each(|candidate| {
            if self.wanted.contains(candidate.number as usize) {
                visit(&candidate, self.classes[candidate.group_number]);
            }
            Ok(())
        })
    }
}

impl Keyed for Selection<'_> {
    fn num_items(&self) -> usize {
        self.wanted.count_ones(..)
    }

    fn end(&self) -> usize {
        self.catalogue.len()
    }

    fn num_classes(&self) -> usize {
        self.classes.len()
    }

    fn each(&self, visit: &mut dyn FnMut(u32, usize, &str)) -> Result<(), ToolError> {
        self.each_candidate(|candidate, class| visit(candidate.number, class, &candidate.key()))
    }

    fn class_and_key(&self, item: u32) -> Result<(usize, String), ToolError> {
        let candidate = self.catalogue.candidate(item)?;
        Ok((self.classes[candidate.group_number], candidate.key()))
    }
}
