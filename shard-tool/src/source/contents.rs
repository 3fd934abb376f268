//! Everything that was found in the sources.

use std::collections::BTreeSet;
use std::path::Path;

use fixedbitset::FixedBitSet;

use super::catalogue::Catalogue;
use super::splits::VAL;
use crate::report::counts::{Reasons, counted};

/// Everything that was found.
#[derive(Debug, Default)]
pub(crate) struct Source {
    pub(crate) catalogue: Catalogue,
    /// Which of the candidates are wanted, by number.
    pub(crate) selected: FixedBitSet,
    /// What was found and is no candidate.
    pub(crate) skips: Reasons,
    /// What a person should know of how the source was understood.
    pub(crate) notes: Vec<String>,
    /// Images that lie in no class folder, so that labels are asked for them.
    pub(super) num_flat: u64,
    /// The groups whose class is from the labels.
    pub(super) by_label: BTreeSet<u32>,
}

impl Source {
    /// Whether there are candidates for validation.
    pub(crate) fn has_val(&self) -> bool {
        let mut groups = self.catalogue.groups().iter();
        groups.any(|group| group.split == VAL)
    }

    /// Told where images lie in no class folder and nothing gives their classes.
    pub(super) fn note_unlabelled(&mut self, place: &Path, num_files: u64) {
        let (place, files) = (place.display(), counted(num_files, "file"));
        let note = format!("no class folders in {place}: {files} without labels");
        self.notes.push(note);
    }
}
