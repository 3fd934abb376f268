//! Samples that are there more than once: the same bytes, or the same key.
//!
//! Same bytes in two classes: nobody knows which label is right, so each copy is bad. In two splits:
//! the copy in `train` is bad, since the other one must not have been seen in training. Twice in one
//! class of one split: noted. A key that occurs twice in a split is bad where we have written the shards, and noted where
//! somebody else has.
//!
//! Checksums and sizes of the images are those of the indexes, which the scan has compared with the bytes. Only images that
//! agree in both are read again.

use shard_format::{Manifest, UNLABELLED};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::defect::{Cause, Defect, SampleId};
use super::shard::Shard;
use crate::report::counts::{counted, thousands};
use crate::source::by_hash;
use crate::source::splits::TRAIN;
use crate::system::drop_behind::DropBehind;

/// Entries of an index that are read before its memory is given back.
const ENTRIES_AT_ONCE: u64 = 1 << 16;

/// Finds the duplicates; adds to `defects` and `notes`.
pub(super) fn find(
    shards: &[Shard<'_>],
    manifest: &Manifest,
    defects: &mut Vec<Defect>,
    notes: &mut Vec<String>,
) {
    let search = Search { shards, manifest };
    search.find_images(defects, notes);
    let splits = manifest.splits.keys();
    splits.for_each(|split| search.find_keys(split, defects, notes));
}

#[derive(Clone, Copy)]
struct Search<'a> {
    shards: &'a [Shard<'a>],
    manifest: &'a Manifest,
}

/// One of several samples with the same bytes.
#[derive(Debug, Clone, Copy)]
struct CopyOf {
    digest: u128,
    id: SampleId,
    label: u32,
}

impl<'a> Search<'a> {
    fn find_images(&self, defects: &mut Vec<Defect>, notes: &mut Vec<String>) {
        let mut known = Vec::new();
        go_through(self.shards.iter(), |id, entry, _| {
            known.push((u64::from(entry.crc) << 32 | u64::from(entry.length), id));
        });
        let seemingly_same = by_hash::several(&mut known).flatten();
        let mut copies = self.read_again(seemingly_same.map(|(_, id)| *id).collect());
        copies.sort_unstable_by_key(|copy| (copy.digest, copy.id));
        let same = copies.chunk_by(|left, right| left.digest == right.digest);
        let same = same.filter(|copies| copies.len() > 1);
        let num_harmless = same.map(|copies| self.judge(copies, defects)).sum();
        if num_harmless > 0 {
            let images = counted(num_harmless, "image");
            notes.push(format!(
                "exact copies within a class and split: {images} more than needed"
            ));
        }
    }

    /// Reads images in the order in which they lie in the shards.
    fn read_again(&self, mut ids: Vec<SampleId>) -> Vec<CopyOf> {
        ids.sort_unstable();
        let mut copies = Vec::with_capacity(ids.len());
        for ids in ids.chunk_by(|left, right| left.shard == right.shard) {
            let shard = self.shard(ids[0]);
            let mut passed = shard.tar.as_ref().map(DropBehind::new);
            for id in ids {
                let Some((entry, _)) = shard.entry(id.entry.into()) else {
                    continue;
                };
                copies.extend(shard.image(&entry).map(|image| CopyOf {
                    digest: xxh3_128(image),
                    id: *id,
                    label: entry.label,
                }));
                if let Some((passed, image)) = passed.as_mut().zip(entry.range()) {
                    passed.read(image);
                }
            }
            drop(passed);
            shard.release();
        }
        copies
    }

    /// Tells of copies that are bad; the number of copies too many if none is.
    fn judge(&self, copies: &[CopyOf], defects: &mut Vec<Defect>) -> u64 {
        let num_before = defects.len();
        let is_of_another_class =
            |copy: &CopyOf, than: &CopyOf| copy.label != UNLABELLED && copy.label != than.label;
        let first = copies.iter().find(|copy| copy.label != UNLABELLED);
        let second =
            first.and_then(|first| copies.iter().find(|copy| is_of_another_class(copy, first)));
        let held_out = copies.iter().min_by_key(|copy| self.rank(copy.id));
        for copy in copies {
            let mut labelled = [first, second].into_iter().flatten();
            if let Some(other) = labelled.find(|other| is_of_another_class(copy, other)) {
                let place = format!("class {}", self.class(other.label));
                defects.push(self.copy(Cause::DuplicateInClasses, copy, &place, other));
            }
            if let Some(other) = held_out.filter(|other| self.rank(other.id) < self.rank(copy.id)) {
                let place = format!("split {}", self.shard(other.id).split);
                defects.push(self.copy(Cause::DuplicateInSplits, copy, &place, other));
            }
        }
        match defects.len() - num_before {
            0 => copies.len() as u64 - 1,
            _ => 0,
        }
    }

    fn copy(&self, cause: Cause, copy: &CopyOf, place: &str, other: &CopyOf) -> Defect {
        let other = self.described(other.id);
        let reason = format!("the same bytes are in {place}: {other}");
        self.defect(cause, copy.id, reason)
    }

    /// Keys must be unique in a split; all but the first are bad.
    fn find_keys(&self, split: &str, defects: &mut Vec<Defect>, notes: &mut Vec<String>) {
        let mut hashed = Vec::new();
        let shards = self.shards.iter().filter(|shard| shard.split == split);
        go_through(shards, |id, _, key| {
            hashed.push((xxh3_64(key.as_bytes()), id));
        });
        let repeated = by_hash::repeated(hashed, |id| self.key(id));
        if self.manifest.indexed_in_place.is_none() {
            defects.extend(repeated.iter().map(|(id, first)| {
                let first = self.described(*first);
                let reason = format!("the key occurs twice in this split: {first}");
                self.defect(Cause::Key, *id, reason)
            }));
        } else if let Some((id, first)) = repeated.first() {
            notes.push(format!(
                "keys of {split} that occur again, each a sample of its own: {}; {}, first {}",
                thousands(repeated.len() as u64),
                self.described(*id),
                self.described(*first)
            ));
        }
    }

    fn defect(&self, cause: Cause, id: SampleId, reason: String) -> Defect {
        Defect::of_sample(cause, self.shard(id), u64::from(id.entry), reason)
    }

    fn shard(&self, id: SampleId) -> &'a Shard<'a> {
        &self.shards[id.shard as usize]
    }

    /// `train` comes after the splits that are held out.
    fn rank(&self, id: SampleId) -> (bool, &str) {
        let split = self.shard(id).split;
        (split == TRAIN, split)
    }

    fn class(&self, label: u32) -> &str {
        let class = self.manifest.classes.get(label as usize);
        class.map_or("(none)", String::as_str)
    }

    fn key(&self, id: SampleId) -> &'a str {
        let known = self.shard(id).entry(u64::from(id.entry));
        known.map_or("", |(_, key)| key)
    }

    fn described(&self, id: SampleId) -> String {
        let shard = self.shard(id);
        let known = shard.entry(u64::from(id.entry));
        let offset = known.map_or(0, |(entry, _)| entry.offset);
        format!("{} {} offset {offset}", shard.manifest.file, self.key(id))
    }
}

/// Every sample whose image lies in its tar.
fn go_through<'a>(
    shards: impl Iterator<Item = &'a Shard<'a>>,
    mut take: impl FnMut(SampleId, &shard_format::Entry, &str),
) {
    for shard in shards {
        for number in 0..shard.num_at_hand() {
            if let Some((entry, key)) = shard.entry(number)
                && shard.image(&entry).is_some()
            {
                let (shard, entry_number) = (shard.number, number as u32);
                let id = SampleId {
                    shard,
                    entry: entry_number,
                };
                take(id, &entry, key);
            }
            if number % ENTRIES_AT_ONCE == ENTRIES_AT_ONCE - 1 {
                shard.release_index();
            }
        }
        shard.release_index();
    }
}
