//! `shard-tool split`: divides the train split of a set into train and val, as a new set.
//!
//! The choice and the order are those of `shard-tool pack --val-fraction`: by a seeded hash of the
//! keys, class by class. So both ways give the same shards.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use shard_format::{ImageHeader, NewSample, Sample, SetWriter, ShardSet, WriterOptions};

use crate::error::ToolError;
use crate::order::{self, sort_by_hash};
use crate::progress::Progress;
use crate::source::{TRAIN, VAL};
use crate::{output, report, set};

const ABOUT: &str = "Divide the train split of a set into train and val, and write both as a new set.

Takes the part F of each class, rounded, as val, and leaves at least one image in train. The choice \
depends on the keys and the seed alone, and is that of `shard-tool pack --val-fraction F --seed S`. Other \
splits of SET are not part of the new set. Samples of a set that was indexed in place (shard-tool index) get keys \
of their class and their old key.";

const EXAMPLE: &str = "Example:
  shard-tool split photos-shards --val-fraction 0.1 --seed 7 --out photos-split";

/// Divide the train split of a set into train and val, and write both as a new set.
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLE)]
pub(crate) struct SplitOptions {
    /// Folder that holds manifest.json.
    set: PathBuf,
    /// This part of each class becomes val.
    #[arg(long, value_name = "F", value_parser = crate::cli::fraction)]
    val_fraction: f64,
    /// Seed of the choice and of the order.
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Folder for the new set.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Close a shard before it grows beyond this many MiB.
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    shard_size: u64,
    /// Replace the packed set that is in the output folder.
    #[arg(long)]
    overwrite: bool,
    /// The manifest of the new set as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Writes the new set and prints the summary.
pub(crate) fn run(options: &SplitOptions) -> Result<(), ToolError> {
    let started = Instant::now();
    let set = ShardSet::open(&options.set, TRAIN)?;
    let same = |left: &PathBuf, right: &PathBuf| {
        fs::canonicalize(left).ok() == fs::canonicalize(right).ok()
    };
    if options.out.exists() && same(&options.out, &options.set) {
        return Err(ToolError::OutIsSet(options.out.clone()));
    }
    for split in set.manifest().split_names() {
        if split != TRAIN {
            eprintln!("warning: split `{split}` of the old set is not part of the new one");
        }
    }
    let samples: Vec<Sample<'_>> = set.samples().collect::<Result<_, _>>()?;
    let key_of = |sample| set::packed_key(&set, sample);
    let keys: Vec<Cow<'_, str>> = samples.iter().map(key_of).collect();
    check_distinct(&keys, &options.set)?;
    let named = keys.iter().zip(samples);
    let named = named.map(|(key, sample)| Named { key, sample }).collect();
    let [train, val] = divide(named, options.seed, options.val_fraction);
    let manifest = write(options, &set, [(TRAIN, train), (VAL, val)])?;
    let summary = report::summary(&manifest, &options.out, started.elapsed());
    output::print(|out| match options.json {
        true => out.json(&manifest),
        false => out.bytes(summary.as_bytes()),
    })
}

/// A sample and its key in the new set.
#[derive(Debug, Clone, Copy)]
struct Named<'a> {
    key: &'a str,
    sample: Sample<'a>,
}

fn check_distinct(keys: &[Cow<'_, str>], set: &Path) -> Result<(), ToolError> {
    let mut known = HashSet::with_capacity(keys.len());
    let mut all = keys.iter().map(Cow::as_ref);
    match all.find(|key| !known.insert(*key)) {
        Some(twice) => Err(ToolError::SameKey {
            set: set.to_owned(),
            key: twice.to_owned(),
        }),
        None => Ok(()),
    }
}

/// Train and val, each in the order in which it is written.
fn divide(samples: Vec<Named<'_>>, seed: u64, fraction: f64) -> [Vec<Named<'_>>; 2] {
    let mut classes: BTreeMap<&str, Vec<Named<'_>>> = BTreeMap::new();
    for named in samples {
        let class = named.key.rsplit_once('/').map_or("", |(class, _)| class);
        classes.entry(class).or_default().push(named);
    }
    let (mut train, mut val) = (Vec::new(), Vec::new());
    for samples in classes.into_values() {
        let (stays, becomes_val) = order::divide(samples, seed, fraction, |named| named.key);
        train.extend(stays);
        val.extend(becomes_val);
    }
    let mut splits = [train, val];
    for samples in &mut splits {
        sort_by_hash(samples, seed, |named| named.key);
    }
    splits
}

fn write(
    options: &SplitOptions,
    set: &ShardSet,
    splits: [(&str, Vec<Named<'_>>); 2],
) -> Result<shard_format::Manifest, ToolError> {
    let writer_options = WriterOptions {
        shard_bytes: options.shard_size << 20,
        shard_samples: u64::MAX,
        zstd_level: None,
        overwrite: options.overwrite,
    };
    let mut progress = Progress::new("splitting", set.num_samples());
    let mut writer = SetWriter::create(&options.out, set.classes().to_vec(), writer_options)?;
    for (split, samples) in splits {
        if samples.is_empty() {
            eprintln!("warning: split `{split}` holds no image and is left out");
            continue;
        }
        writer.begin_split(split);
        for named in samples {
            named.sample.check()?;
            writer.append(&new_sample(&named))?;
            progress.step(writer.num_bytes());
        }
        writer.end_split()?;
    }
    progress.finish();
    Ok(writer.finish()?)
}

fn new_sample<'a>(named: &Named<'a>) -> NewSample<'a> {
    let Named { key, sample } = named;
    let header = ImageHeader {
        kind: sample.kind,
        colour: sample.colour,
        bits: sample.bits,
        width: sample.width,
        height: sample.height,
    };
    NewSample {
        key,
        image: sample.image,
        crc: sample.crc,
        header,
        label: sample.label,
    }
}
