//! What `verify` tells, for people and for machines.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::defect::Defect;
use super::findings::Findings;
use super::options::VerifyOptions;
use super::repair::Repaired;
use super::shard::Shard;
use crate::error::ToolError;
use crate::report::counts::{counted, list, thousands};
use crate::report::statistics::Told;

/// The outcome of a verification.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    set: String,
    decoded: bool,
    num_shards: usize,
    num_images: u64,
    num_image_bytes: u64,
    seconds: f64,
    splits: BTreeMap<String, Told>,
    oddities: BTreeMap<&'static str, u64>,
    notes: Vec<String>,
    num_bad_samples: usize,
    defects: Vec<Defect>,
    pub(super) repaired: Option<Repaired>,
}

impl Report {
    /// Takes over what was found, but for what a repair needs.
    pub(super) fn new(
        options: &VerifyOptions,
        shards: &[Shard<'_>],
        findings: &mut Findings,
        elapsed: Duration,
    ) -> Self {
        let bad: BTreeSet<_> = findings
            .defects
            .iter()
            .filter_map(|defect| defect.sample)
            .collect();
        let splits = std::mem::take(&mut findings.statistics).into_iter();
        let splits: BTreeMap<String, Told> = splits
            .map(|(split, statistics)| (split, statistics.told()))
            .collect();
        Self {
            set: options.set.display().to_string(),
            decoded: options.decode,
            num_shards: shards.len(),
            num_images: splits.values().map(|split| split.num_images).sum(),
            num_image_bytes: findings.num_bytes,
            seconds: elapsed.as_secs_f64(),
            splits,
            oddities: std::mem::take(&mut findings.oddities),
            notes: std::mem::take(&mut findings.notes),
            num_bad_samples: bad.len(),
            defects: findings.defects.clone(),
            repaired: None,
        }
    }

    pub(super) fn is_sound(&self) -> bool {
        self.defects.is_empty()
    }

    /// An error if the set has defects, unless they are repaired.
    pub(super) fn outcome(&self, set: &Path) -> Result<(), ToolError> {
        if self.is_sound() || self.repaired.is_some() {
            return Ok(());
        }
        Err(ToolError::data(
            self.verdict(),
            set.display(),
            "see the list on stdout, and leave them out with --repair",
        ))
    }

    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        for (name, split) in &self.splits {
            writeln!(text, "{name}: {}", split.images()).expect("a string");
            text.push_str(&split.to_text());
        }
        if !self.oddities.is_empty() {
            let oddities = list(self.oddities.iter().map(|(name, count)| (*name, *count)));
            writeln!(text, "oddities: {oddities}").expect("a string");
        }
        for note in &self.notes {
            writeln!(text, "note: {note}").expect("a string");
        }
        for defect in &self.defects {
            writeln!(text, "bad: {}", defect.to_text()).expect("a string");
        }
        self.add_verdict(&mut text);
        if let Some(repaired) = &self.repaired {
            repaired.add_text(&mut text);
        }
        text
    }

    fn verdict(&self) -> String {
        match self.defects.len() as u64 {
            0 => "sound".to_owned(),
            some => {
                let samples = counted(self.num_bad_samples as u64, "bad sample");
                format!("{}, {samples}", counted(some, "defect"))
            }
        }
    }

    fn add_verdict(&self, text: &mut String) {
        let verdict = self.verdict();
        let megabytes = self.num_image_bytes as f64 / 1e6;
        let done = if self.decoded { "decoded" } else { "checked" };
        writeln!(
            text,
            "{}: {verdict}; {} {done} in {}, {megabytes:.1} MB in {:.2} s: {:.1} MB/s",
            self.set,
            counted(self.num_images, "image"),
            counted(self.num_shards as u64, "shard"),
            self.seconds,
            megabytes / self.seconds.max(1e-3),
        )
        .expect("a string");
    }
}

impl Repaired {
    fn add_text(&self, text: &mut String) {
        let dropped = counted(self.num_samples_dropped, "sample");
        let left = thousands(self.num_samples_left);
        writeln!(text, "repaired: {dropped} dropped, {left} left").expect("a string");
        for shard in &self.shards_dropped {
            writeln!(text, "  no longer part of the set: {shard}").expect("a string");
        }
        for file in &self.files_written {
            writeln!(text, "  written anew: {file}").expect("a string");
        }
    }
}
