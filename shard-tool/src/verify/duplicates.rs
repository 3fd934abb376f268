//! Samples that are there more than once: the same bytes, or the same key.
//!
//! Same bytes in two classes: nobody knows which label is right, so each copy is bad. In two splits:
//! the copy in `train` is bad, since the other one must not have been seen in training. Twice in one
//! class of one split: noted.

use std::collections::HashSet;

use shard_format::UNLABELLED;

use super::defect::{Cause, Defect};
use super::scan::Seen;
use super::shard::Shard;
use crate::report::counted;

/// Finds the duplicates among `seen`; adds to `defects` and `notes`.
pub(super) fn find(
    seen: &mut [Seen],
    shards: &[Shard<'_>],
    classes: &[String],
    defects: &mut Vec<Defect>,
    notes: &mut Vec<String>,
) {
    let search = Search { shards, classes };
    seen.sort_unstable_by_key(|sample| (sample.digest, sample.id));
    let mut num_harmless = 0;
    for copies in seen.chunk_by(|left, right| left.digest == right.digest) {
        if copies.len() > 1 {
            num_harmless += search.judge(copies, defects);
        }
    }
    if num_harmless > 0 {
        let images = counted(num_harmless, "image");
        notes.push(format!(
            "exact copies within a class and split: {images} more than needed"
        ));
    }
    search.find_keys(seen, defects);
}

struct Search<'a> {
    shards: &'a [Shard<'a>],
    classes: &'a [String],
}

impl Search<'_> {
    /// Tells of copies that are bad; the number of copies too many if none is.
    fn judge(&self, copies: &[Seen], defects: &mut Vec<Defect>) -> u64 {
        let num_before = defects.len();
        for copy in copies {
            let in_other_class = copies
                .iter()
                .find(|other| self.is_of_another_class(copy, other));
            if let Some(other) = in_other_class {
                let reason = format!(
                    "the same bytes are in class {}: {}",
                    self.class(other),
                    self.described(other)
                );
                defects.push(self.defect(Cause::DuplicateInClasses, copy, reason));
            }
            let held_out = copies
                .iter()
                .find(|other| self.rank(other) < self.rank(copy));
            if let Some(other) = held_out {
                let reason = format!(
                    "the same bytes are in split {}: {}",
                    self.split(other),
                    self.described(other)
                );
                defects.push(self.defect(Cause::DuplicateInSplits, copy, reason));
            }
        }
        match defects.len() - num_before {
            0 => copies.len() as u64 - 1,
            _ => 0,
        }
    }

    /// Keys must be unique in a split; all but the first are bad.
    fn find_keys(&self, seen: &mut [Seen], defects: &mut Vec<Defect>) {
        seen.sort_unstable_by_key(|sample| (self.split(sample), sample.key, sample.id));
        let same = |left: &Seen, right: &Seen| {
            (self.split(left), left.key) == (self.split(right), right.key)
        };
        for samples in seen.chunk_by(same) {
            let mut known = HashSet::new();
            for sample in samples {
                if !known.insert(self.key(sample)) {
                    let reason = format!(
                        "the key occurs twice in this split: {}",
                        self.described(&samples[0])
                    );
                    defects.push(self.defect(Cause::Key, sample, reason));
                }
            }
        }
    }

    fn is_of_another_class(&self, left: &Seen, right: &Seen) -> bool {
        left.label != right.label && [left, right].iter().all(|one| one.label != UNLABELLED)
    }

    fn defect(&self, cause: Cause, sample: &Seen, reason: String) -> Defect {
        let shard = &self.shards[sample.id.shard as usize];
        Defect::of_sample(cause, shard, u64::from(sample.id.entry), reason)
    }

    fn split(&self, sample: &Seen) -> &str {
        self.shards[sample.id.shard as usize].split
    }

    /// `train` comes after the splits that are held out.
    fn rank(&self, sample: &Seen) -> (bool, &str) {
        let split = self.split(sample);
        (split == crate::source::TRAIN, split)
    }

    fn class(&self, sample: &Seen) -> &str {
        let class = self.classes.get(sample.label as usize);
        class.map_or("(none)", String::as_str)
    }

    fn key(&self, sample: &Seen) -> &str {
        let shard = &self.shards[sample.id.shard as usize];
        let known = shard.entry(u64::from(sample.id.entry));
        known.map_or("", |(_, key)| key)
    }

    fn described(&self, sample: &Seen) -> String {
        let shard = &self.shards[sample.id.shard as usize];
        let offset = shard
            .entry(u64::from(sample.id.entry))
            .map_or(0, |(entry, _)| entry.offset);
        format!(
            "{} {} offset {offset}",
            shard.manifest.file,
            self.key(sample)
        )
    }
}
