//! `shard-tool split`: divides the train split of a set into train and val, as a new set.
//!
//! The choice and the order are those of `shard-tool pack --val-fraction`: by a seeded hash of the
//! keys, class by class. So both ways give the same shards, where all files are named like images and none is skipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use fixedbitset::FixedBitSet;
use shard_format::{
    FormatError, ImageHeader, NewSample, Sample, SetWriter, ShardSet, WriterOptions,
};

use crate::alike;
use crate::error::ToolError;
use crate::order::{self, Keyed};
use crate::output::tell;
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
    set::check_room(std::slice::from_ref(&set))?;
    let same = |left: &PathBuf, right: &PathBuf| {
        fs::canonicalize(left).ok() == fs::canonicalize(right).ok()
    };
    if options.out.exists() && same(&options.out, &options.set) {
        return Err(ToolError::OutIsSet(options.out.clone()));
    }
    for split in set.manifest().split_names() {
        if split != TRAIN {
            tell!("warning: split `{split}` of the old set is not part of the new one");
        }
    }
    check_distinct(&Part::whole(&set), &options.set)?;
    let val = order::draw_val(&Part::whole(&set), options.seed, options.val_fraction)?;
    let train = Part::whole(&set).without(&val);
    let splits = [(TRAIN, train), (VAL, Part::of(&set, val))];
    let manifest = write(options, &set, &splits)?;
    let summary = report::summary(&manifest, &options.out, started.elapsed());
    output::print(|out| match options.json {
        true => out.json(&manifest),
        false => out.bytes(summary.as_bytes()),
    })
}

/// Keys of a set that was packed differ; those of another may become the same.
fn check_distinct(all: &Part<'_>, set: &Path) -> Result<(), ToolError> {
    let scan = |offer: &mut dyn FnMut(&str, u32)| all.each(&mut |item, _, key| offer(key, item));
    let key_of = |item| Ok(all.class_and_key(item)?.1);
    alike::repeated_keys(all.num_items() as u64, scan, key_of, |item, _| {
        Err(ToolError::SameKey {
            set: set.to_owned(),
            key: key_of(item)?,
        })
    })
}

/// Some samples of a split.
struct Part<'a> {
    set: &'a ShardSet,
    members: FixedBitSet,
}

impl<'a> Part<'a> {
    fn of(set: &'a ShardSet, members: FixedBitSet) -> Self {
        Self { set, members }
    }

    fn whole(set: &'a ShardSet) -> Self {
        let mut members = FixedBitSet::with_capacity(set.num_samples() as usize);
        members.insert_range(..);
        Self::of(set, members)
    }

    fn without(mut self, others: &FixedBitSet) -> Self {
        self.members.difference_with(others);
        self
    }
}

/// Unlabelled samples are a class of their own.
impl Keyed for Part<'_> {
    fn num_items(&self) -> usize {
        self.members.count_ones(..)
    }

    fn end(&self) -> usize {
        self.members.len()
    }

    fn num_classes(&self) -> usize {
        self.set.classes().len() + 1
    }

    fn each(&self, visit: &mut dyn FnMut(u32, usize, &str)) -> Result<(), ToolError> {
        for item in self.members.ones() {
            let (class, key) = self.class_and_key(item as u32)?;
            visit(item as u32, class, &key);
        }
        Ok(())
    }

    fn class_and_key(&self, item: u32) -> Result<(usize, String), ToolError> {
        let sample = self.set.sample(item.into())?;
        let class = sample
            .label
            .map_or(self.set.classes().len(), |label| label as usize);
        Ok((class, set::packed_key(self.set, &sample).into_owned()))
    }
}

fn write(
    options: &SplitOptions,
    set: &ShardSet,
    splits: &[(&str, Part<'_>)],
) -> Result<shard_format::Manifest, ToolError> {
    let writer_options = WriterOptions {
        shard_bytes: options.shard_size << 20,
        shard_samples: u64::MAX,
        zstd_level: None,
        overwrite: options.overwrite,
    };
    if set.num_bytes_to_unpack() > 0 {
        tell!("note: the shards of the new set are not compressed");
    }
    let mut progress = Progress::new("splitting", set.num_samples());
    let mut writer = SetWriter::create(&options.out, set.classes().to_vec(), writer_options)?;
    for (split, part) in splits {
        if part.num_items() == 0 {
            tell!("warning: split `{split}` holds no image and is left out");
            continue;
        }
        writer.begin_split(split);
        order::visit(part, options.seed, |item| {
            let sample = set.sample(item.into())?;
            sample.check()?;
            writer.append(&new_sample(&set::packed_key(set, &sample), &sample)?)?;
            progress.step(writer.num_bytes());
            Ok(())
        })?;
        writer.end_split()?;
    }
    progress.finish();
    Ok(writer.finish()?)
}

fn new_sample<'a>(key: &'a str, sample: &Sample<'a>) -> Result<NewSample<'a>, FormatError> {
    let header = ImageHeader {
        kind: sample.kind,
        colour: sample.colour,
        bits: sample.bits,
        width: sample.width,
        height: sample.height,
    };
    Ok(NewSample {
        key,
        image: sample.image()?,
        crc: sample.crc,
        header,
        label: sample.label,
    })
}
