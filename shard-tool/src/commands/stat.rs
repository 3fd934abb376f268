//! `shard-tool stat`: what a set holds, from the indexes alone.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use shard_format::ShardSet;

use super::set;
use crate::error::ToolError;
use crate::report::counts::{counted, thousands};
use crate::report::output;
use crate::report::statistics::{Statistics, Told};

const ABOUT: &str = "Show what a set holds: images by split and class, kinds, colour models, sizes.

Only indexes are read, so it is quick (the tars must be there); `shard-tool verify` looks at the images. The median of the sizes in bytes is \
exact up to 0.03 %.";

const EXAMPLE: &str = "Example: images per class of train, as JSON
  shard-tool stat imagenet-shards --json | jq .splits.train.classes";

/// Show what a set holds: images by split and class, kinds, colour models, sizes.
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLE)]
pub(crate) struct StatOptions {
    /// Folder that holds manifest.json.
    set: PathBuf,
    /// Only this split.
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// How many classes to show, the largest first.
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    /// One JSON object, with all classes.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Stat {
    set: String,
    num_classes: usize,
    splits: BTreeMap<String, SplitStat>,
}

#[derive(Debug, Serialize)]
struct SplitStat {
    #[serde(flatten)]
    images: Told,
    num_unlabelled: u64,
    image_bytes: u64,
    num_shards: usize,
    shard_bytes: u64,
    classes: BTreeMap<String, u64>,
}

/// Prints the statistics.
pub(crate) fn run(options: &StatOptions) -> Result<(), ToolError> {
    let splits = set::open(&options.set, options.split.as_deref())?;
    let stat = Stat {
        set: options.set.display().to_string(),
        num_classes: splits.first().map_or(0, |split| split.classes().len()),
        splits: splits.iter().map(of_split).collect::<Result<_, _>>()?,
    };
    let text = stat.to_text(options.top);
    output::print(|out| out.either(options.json, &stat, &text))
}

fn of_split(split: &ShardSet) -> Result<(String, SplitStat), ToolError> {
    let mut statistics = Statistics::default();
    for sample in split.samples() {
        let sample = sample?;
        statistics.add(&sample.header, sample.label, sample.num_bytes);
    }
    let shards = &split.manifest().splits[split.split()].shards;
    let stat = SplitStat {
        images: statistics.told(),
        num_unlabelled: statistics.num_unlabelled,
        image_bytes: statistics.num_bytes,
        num_shards: shards.len(),
        shard_bytes: shards.iter().map(|shard| shard.num_bytes).sum(),
        classes: per_class(split.classes(), &statistics.labels),
    };
    Ok((split.split().to_owned(), stat))
}

/// Images of every class, also of those without any.
fn per_class(classes: &[String], labels: &BTreeMap<u32, u64>) -> BTreeMap<String, u64> {
    let count = |label| labels.get(&label).copied().unwrap_or(0);
    let counts = (0u32..).zip(classes);
    counts
        .map(|(label, class)| (class.clone(), count(label)))
        .collect()
}

impl Stat {
    fn to_text(&self, top: usize) -> String {
        let classes = counted(self.num_classes as u64, "class");
        let mut text = format!("{}: {classes}\n", self.set);
        for (name, split) in &self.splits {
            split.add_text(name, top, &mut text);
        }
        text
    }
}

impl SplitStat {
    fn add_text(&self, name: &str, top: usize, text: &mut String) {
        let (images, shards) = (
            self.images.images(),
            counted(self.num_shards as u64, "shard"),
        );
        let unlabelled = match self.num_unlabelled {
            0 => String::new(),
            some => format!(", {} unlabelled", thousands(some)),
        };
        let [images_mb, shards_mb] =
            [self.image_bytes, self.shard_bytes].map(|bytes| bytes as f64 / 1e6);
        writeln!(
            text,
            "\n{name}: {images}{unlabelled}, {images_mb:.1} MB; {shards}, {shards_mb:.1} MB"
        )
        .expect("a string");
        text.push_str(&self.images.to_text());
        self.add_classes(top, text);
    }

    fn add_classes(&self, top: usize, text: &mut String) {
        let mut classes: Vec<(&String, u64)> =
            self.classes.iter().map(|(name, n)| (name, *n)).collect();
        classes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        for (class, count) in classes.iter().take(top) {
            writeln!(text, "  {:>9} {class}", thousands(*count)).expect("a string");
        }
        if let Some((_, least)) = classes.last().filter(|_| classes.len() > top) {
            let (rest, least) = (thousands((classes.len() - top) as u64), thousands(*least));
            writeln!(text, "  and {rest} more, the smallest of {least}").expect("a string");
        }
    }
}
