//! Keys that occur again in a split: each is another sample, as for every reader, but hardly meant.

use std::path::Path;

use shard_format::{Index, Manifest, ShardManifest};

use super::report::{NUM_TOLD, Notes};
use crate::alike;
use crate::error::ToolError;

/// The indexes of a split.
struct Indexes<'m> {
    shards: &'m [ShardManifest],
    indexes: Vec<Index>,
}

/// A sample: position of its shard in the split, and of its entry in the index.
type Place = (u32, u32);

/// Adds the repeated keys of each split, as the indexes in `dir` have them, to `notes`.
pub(super) fn note(dir: &Path, manifest: &Manifest, notes: &mut Notes) -> Result<(), ToolError> {
    for split in manifest.splits.values() {
        let open = |shard: &ShardManifest| Index::open(&dir.join(&shard.index_file));
        let indexes = Indexes {
            shards: &split.shards,
            indexes: split.shards.iter().map(open).collect::<Result<_, _>>()?,
        };
        indexes.note(notes)?;
    }
    Ok(())
}

impl Indexes<'_> {
    fn note(&self, notes: &mut Notes) -> Result<(), ToolError> {
        let num_samples = self.shards.iter().map(|shard| shard.num_samples).sum();
        let (mut count, mut least) = (0, Vec::<[Place; 2]>::new());
        let scan = |offer: &mut dyn FnMut(&str, Place)| self.scan(offer);
        let key_of = |place| self.key(place);
        alike::repeated_keys(num_samples, scan, key_of, |again, first| {
            count += 1;
            let position = least.partition_point(|told| *told < [again, first]);
            least.insert(position, [again, first]);
            least.truncate(NUM_TOLD);
            Ok(())
        })?;
        let told: Result<Vec<String>, ToolError> = least
            .into_iter()
            .map(|[again, first]| {
                let [(file, key, offset), (first_file, _, first_offset)] =
                    [self.described(again)?, self.described(first)?];
                Ok(format!(
                    "{file} {key} at offset {offset}, and in {first_file} at offset {first_offset}"
                ))
            })
            .collect();
        notes.add_all(
            "keys that occur again, each counted as a sample",
            count,
            told?,
        );
        Ok(())
    }

    fn scan(&self, offer: &mut dyn FnMut(&str, Place)) -> Result<(), ToolError> {
        for (shard, index) in (0..).zip(&self.indexes) {
            for entry in 0..index.num_entries() {
                offer(index.entry(entry)?.1, (shard, entry as u32));
            }
            index.release();
        }
        Ok(())
    }

    fn key(&self, place: Place) -> Result<&str, ToolError> {
        Ok(self.described(place)?.1)
    }

    /// Shard, key, and offset of the image.
    fn described(&self, (shard, entry): Place) -> Result<(&str, &str, u64), ToolError> {
        let shard = shard as usize;
        let (entry, key) = self.indexes[shard].entry(entry.into())?;
        Ok((&self.shards[shard].file, key, entry.offset))
    }
}
