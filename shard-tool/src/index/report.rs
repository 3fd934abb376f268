//! What is told of an index: oddities by reason on stderr, the summary on stdout.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use shard_format::{Manifest, SplitManifest};

use crate::report::{counted, thousands};

/// How many cases are told for each reason.
pub(super) const NUM_TOLD: usize = 5;

/// What was odd, counted by reason.
#[derive(Debug, Default)]
pub(super) struct Notes {
    by_reason: BTreeMap<String, (u64, Vec<String>)>,
}

impl Notes {
    /// `reason` is in the plural; `what` is a member or key of the shard `file`, or nothing.
    pub(super) fn add(&mut self, reason: &str, file: &str, what: &str) {
        let (count, told) = self.by_reason.entry(reason.to_owned()).or_default();
        *count += 1;
        if told.len() < NUM_TOLD {
            told.push(format!("{file} {what}").trim_end().to_owned());
        }
    }

    /// Adds `count` cases, of which these are told.
    pub(super) fn add_all(&mut self, reason: &str, count: u64, told: Vec<String>) {
        if count > 0 {
            let noted = self.by_reason.entry(reason.to_owned()).or_default();
            noted.0 += count;
            noted.1.extend(told);
        }
    }

    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        for (reason, (count, told)) in &self.by_reason {
            writeln!(text, "warning: {reason}: {}", thousands(*count)).expect("a string");
            for case in told {
                writeln!(text, "    {}", case.escape_debug()).expect("a string");
            }
            let num_untold = count - told.len() as u64;
            if num_untold > 0 {
                writeln!(text, "    and {} more", thousands(num_untold)).expect("a string");
            }
        }
        text
    }

    fn to_json(&self) -> Value {
        let counts = self.by_reason.iter();
        counts
            .map(|(reason, (count, _))| (reason.clone(), json!(count)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

/// What is printed at the end.
#[derive(Debug)]
pub(super) struct Summary<'s> {
    pub(super) manifest: &'s Manifest,
    pub(super) dir: &'s Path,
    pub(super) notes: &'s Notes,
    pub(super) elapsed: Duration,
}

impl Summary<'_> {
    pub(super) fn to_text(&self) -> String {
        let num_samples = self.total(|split| split.num_samples);
        let num_bytes = self.total(|split| split.num_bytes);
        let seconds = self.elapsed.as_secs_f64().max(1e-3);
        let per_split: Vec<String> = self
            .manifest
            .splits
            .iter()
            .map(|(name, split)| format!("{name} {}", thousands(split.num_samples)))
            .collect();
        format!(
            "indexed {} ({}), {} of them unlabelled, {}, {}, {:.1} MB in {seconds:.2} s\n\
             where: {}\nnext:  loader serve {}\n",
            counted(num_samples, "image"),
            per_split.join(", "),
            thousands(self.total(|split| split.num_unlabelled)),
            counted(self.manifest.classes.len() as u64, "class"),
            counted(self.total(|split| split.shards.len() as u64), "shard"),
            num_bytes as f64 / 1e6,
            self.dir.display(),
            self.dir.display(),
        )
    }

    pub(super) fn to_json(&self) -> Value {
        let splits: serde_json::Map<String, Value> = self
            .manifest
            .splits
            .iter()
            .map(|(name, split)| (name.clone(), split_json(split)))
            .collect();
        json!({
            "dir": self.dir.display().to_string(),
            "num_classes": self.manifest.classes.len(),
            "num_samples": self.total(|split| split.num_samples),
            "num_unlabelled": self.total(|split| split.num_unlabelled),
            "splits": splits,
            "warnings": self.notes.to_json(),
            "seconds": self.elapsed.as_secs_f64(),
        })
    }

    fn total(&self, field: fn(&SplitManifest) -> u64) -> u64 {
        self.manifest.splits.values().map(field).sum()
    }
}

fn split_json(split: &SplitManifest) -> Value {
    json!({
        "num_samples": split.num_samples,
        "num_unlabelled": split.num_unlabelled,
        "num_bytes": split.num_bytes,
        "num_shards": split.shards.len(),
        "kinds": split.kinds,
        "colours": split.colours,
    })
}
