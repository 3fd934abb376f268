//! What is told at the end: skipped files by reason on stderr, the summary on stdout.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shard_format::Manifest;

/// How many names are told for each reason.
const NUM_NAMED: usize = 5;

/// Files left out, counted by reason.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Skips {
    by_reason: BTreeMap<String, Skipped>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Skipped {
    num_files: u64,
    first: Vec<String>,
}

impl Skips {
    pub(crate) fn add(&mut self, reason: &str, path: &Path) {
        let skipped = match self.by_reason.get_mut(reason) {
            Some(skipped) => skipped,
            None => self.by_reason.entry(reason.to_owned()).or_default(),
        };
        skipped.num_files += 1;
        // The first in order of name, since file systems list in any order.
        let path = path.display().to_string();
        let at = skipped.first.partition_point(|named| *named < path);
        if at < NUM_NAMED {
            skipped.first.insert(at, path);
            skipped.first.truncate(NUM_NAMED);
        }
    }

    pub(crate) fn num_files(&self) -> u64 {
        self.by_reason
            .values()
            .map(|skipped| skipped.num_files)
            .sum()
    }

    /// How many files, by reason.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let counts = self.by_reason.iter();
        counts
            .map(|(reason, skipped)| (reason.clone(), skipped.num_files.into()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    /// The report, with a line per reason and the first few names; empty if nothing was skipped.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        for (reason, skipped) in &self.by_reason {
            let files = if skipped.num_files == 1 {
                "file"
            } else {
                "files"
            };
            let num_files = thousands(skipped.num_files);
            writeln!(text, "warning: {num_files} {files} skipped: {reason}").expect("a string");
            for name in &skipped.first {
                writeln!(text, "    {name}").expect("a string");
            }
            let num_unnamed = skipped.num_files - skipped.first.len() as u64;
            if num_unnamed > 0 {
                writeln!(text, "    and {} more", thousands(num_unnamed)).expect("a string");
            }
        }
        text
    }
}

/// The summary of a finished packing.
pub(crate) fn summary(manifest: &Manifest, out: &Path, elapsed: Duration) -> String {
    let total = |field: fn(&shard_format::SplitManifest) -> u64| -> u64 {
        manifest.splits.values().map(field).sum()
    };
    let num_images = total(|split| split.num_samples);
    let num_bytes = total(|split| split.num_bytes);
    let num_shards = total(|split| split.shards.len() as u64);
    let seconds = elapsed.as_secs_f64().max(1e-3);
    let per_split: Vec<String> = manifest
        .splits
        .iter()
        .map(|(name, split)| format!("{name} {}", thousands(split.num_samples)))
        .collect();
    let megabytes = num_bytes as f64 / 1e6;
    let mut text = format!(
        "packed {} ({}), {}, {}, {megabytes:.1} MB in {seconds:.2} s: {} images/s, {:.1} MB/s\n",
        counted(num_images, "image"),
        per_split.join(", "),
        counted(manifest.classes.len() as u64, "class"),
        counted(num_shards, "shard"),
        thousands((num_images as f64 / seconds) as u64),
        megabytes / seconds,
    );
    writeln!(text, "of these: {}", kinds_and_colours(manifest)).expect("a string");
    writeln!(text, "where: {}", out.display()).expect("a string");
    writeln!(text, "next:  loader serve {}", out.display()).expect("a string");
    text
}

/// The summary for machines: the counts of the manifest, without its shards.
pub(crate) fn summary_json(
    manifest: &Manifest,
    skips: &Skips,
    out: &Path,
    elapsed: Duration,
) -> serde_json::Value {
    let of_split = |(name, split): (&String, &shard_format::SplitManifest)| {
        let counts = serde_json::json!({
            "num_samples": split.num_samples, "num_unlabelled": split.num_unlabelled,
            "num_bytes": split.num_bytes, "num_shards": split.shards.len(),
            "kinds": split.kinds, "colours": split.colours,
        });
        (name.clone(), counts)
    };
    let splits: serde_json::Map<_, _> = manifest.splits.iter().map(of_split).collect();
    serde_json::json!({
        "out": out, "num_classes": manifest.classes.len(), "splits": splits, "num_skipped": skips.num_files(),
        "skipped": skips.to_json(), "seconds": elapsed.as_secs_f64(),
    })
}

/// `123 jpeg-baseline, 4 png; 120 ycbcr, 7 grey`.
fn kinds_and_colours(manifest: &Manifest) -> String {
    let add = |field: fn(&shard_format::SplitManifest) -> &BTreeMap<String, u64>| {
        let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
        for (name, count) in manifest.splits.values().flat_map(field) {
            *sums.entry(name).or_default() += count;
        }
        let parts: Vec<String> = sums
            .iter()
            .map(|(name, count)| format!("{} {name}", thousands(*count)))
            .collect();
        parts.join(", ")
    };
    format!(
        "{}; {}",
        add(|split| &split.kinds),
        add(|split| &split.colours)
    )
}

/// The last whole member of a tar before damage: its name and the offset of its header.
pub(crate) fn last_good(member: Option<&(String, u64)>) -> String {
    match member {
        Some((name, offset)) => {
            format!(
                "last good member {} at offset {offset}",
                name.escape_debug()
            )
        }
        None => "no good member before it".to_owned(),
    }
}

/// `1 file`, `2,000 files`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let plural = match noun {
        _ if number == 1 => noun.to_owned(),
        "class" => "classes".to_owned(),
        _ => format!("{noun}s"),
    };
    format!("{} {plural}", thousands(number))
}

/// `1234567` as `1,234,567`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        assert_eq!(thousands(7), "7");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_000), "1,000");
        assert_eq!(thousands(1_281_167), "1,281,167");
    }

    #[test]
    fn skipped_files_are_counted_by_reason_and_the_first_are_named() {
        let mut skips = Skips::default();
        (0..7).for_each(|number| skips.add("text", Path::new(&format!("a/{number}.JPEG"))));
        skips.add("empty", Path::new("b.JPEG"));
        let text = skips.to_text();
        assert!(
            text.contains("1 file skipped: empty\n    b.JPEG\n"),
            "{text}"
        );
        assert!(
            text.contains("7 files skipped: text\n    a/0.JPEG\n"),
            "{text}"
        );
        assert!(text.ends_with("    a/4.JPEG\n    and 2 more\n"), "{text}");
    }
}
