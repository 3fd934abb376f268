//! What is told of a set that was made.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use shard_format::{Manifest, SplitManifest};

use super::counts::{counted, list, thousands};

/// The summary for people: what was done (`packed`), how much of what, how fast, and what comes next.
pub(crate) fn text(verb: &str, manifest: &Manifest, dir: &Path, elapsed: Duration) -> String {
    let total = |field: fn(&SplitManifest) -> u64| manifest.splits.values().map(field).sum::<u64>();
    let (num_images, dir) = (total(|split| split.num_samples), dir.display());
    let per_split = manifest.splits.iter();
    let per_split: Vec<String> = per_split
        .map(|(name, split)| format!("{name} {}", thousands(split.num_samples)))
        .collect();
    let unlabelled = match total(|split| split.num_unlabelled) {
        0 => String::new(),
        some => format!("{} of them unlabelled, ", thousands(some)),
    };
    let (seconds, megabytes) = (
        elapsed.as_secs_f64().max(1e-3),
        total(|split| split.num_bytes) as f64 / 1e6,
    );
    format!(
        "{verb} {} ({}), {unlabelled}{}, {}, {megabytes:.1} MB in {seconds:.2} s: {} images/s, {:.1} MB/s\n\
         of these: {}; {}\nwhere: {dir}\nnext:  loader serve {dir}\n",
        counted(num_images, "image"),
        per_split.join(", "),
        counted(manifest.classes.len() as u64, "class"),
        counted(total(|split| split.shards.len() as u64), "shard"),
        thousands((num_images as f64 / seconds) as u64),
        megabytes / seconds,
        sums(manifest, |split| &split.kinds),
        sums(manifest, |split| &split.colours),
    )
}

/// The counts of the manifest by split, without its shards, for programs.
pub(crate) fn splits(manifest: &Manifest) -> Value {
    let of_split = |(name, split): (&String, &SplitManifest)| {
        let counts = json!({
            "num_samples": split.num_samples, "num_unlabelled": split.num_unlabelled,
            "num_bytes": split.num_bytes, "num_shards": split.shards.len(),
            "kinds": split.kinds, "colours": split.colours,
        });
        (name.clone(), counts)
    };
    manifest.splits.iter().map(of_split).collect()
}

fn sums(manifest: &Manifest, field: fn(&SplitManifest) -> &BTreeMap<String, u64>) -> String {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, count) in manifest.splits.values().flat_map(field) {
        *sums.entry(name).or_default() += count;
    }
    list(sums)
}
