//! `shard-tool split`: divides the train split of a set into train and val, as a new set.
//!
//! The choice and the order are those of `shard-tool pack --val-fraction`: by a seeded hash of the
//! keys, class by class. So both ways give the same shards, where all files are named like images and none is skipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use shard_format::{Manifest, NewSample, Sample, SetWriter, ShardSet, WriterOptions};
use xxhash_rust::xxh3::xxh3_64;

use super::set;
use super::values::fraction;
use crate::error::ToolError;
use crate::report::output::{self, tell};
use crate::report::progress::Progress;
use crate::report::summary;
use crate::source::by_hash;
use crate::source::splits::{TRAIN, VAL};

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
    #[arg(long, value_name = "F", value_parser = fraction)]
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
    set::check_room([set.num_bytes_to_unpack()].into_iter())?;
    let same = |left: &PathBuf, right: &PathBuf| {
        fs::canonicalize(left).ok() == fs::canonicalize(right).ok()
    };
    if options.out.exists() && same(&options.out, &options.set) {
        let what = "the new set would replace the old one";
        let remedy = "give another --out";
        return Err(ToolError::usage(what, options.out.display(), remedy));
    }
    for split in set.manifest().split_names() {
        if split != TRAIN {
            tell!("warning: split `{split}` of the old set is not part of the new one");
        }
    }
    // Once, so that no entry can be found damaged later.
    for sample in set.samples() {
        sample?;
    }
    let samples = Samples(&set);
    samples.check_distinct(&options.set)?;
    let (key, class) = (|id| samples.key(id), |id| samples.class(id));
    let val = by_hash::draw_val(
        samples.ids(),
        options.seed,
        key,
        class,
        options.val_fraction,
    );
    let is_val = |id: &u32| val.contains(*id as usize);
    let of_val = samples.ids().filter(is_val);
    let of_train = samples.ids().filter(|id| !is_val(id));
    let splits = [
        (TRAIN, by_hash::shuffled(of_train, options.seed, key)),
        (VAL, by_hash::shuffled(of_val, options.seed, key)),
    ];
    let manifest = write(options, &samples, &splits)?;
    let text = summary::text("packed", &manifest, &options.out, started.elapsed());
    output::print(|out| out.either(options.json, &manifest, &text))
}

/// The samples of the old split, whose entries are known to be sound.
#[derive(Clone, Copy)]
struct Samples<'a>(&'a ShardSet);

impl<'a> Samples<'a> {
    fn ids(self) -> impl Iterator<Item = u32> {
        0..self.0.num_samples() as u32
    }

    fn sample(self, id: u32) -> Sample<'a> {
        self.0.sample(id.into()).expect("it was looked at before")
    }

    fn key(self, id: u32) -> String {
        set::packed_key(self.0, &self.sample(id)).into_owned()
    }

    /// Unlabelled samples are a class of their own.
    fn class(self, id: u32) -> usize {
        let label = self.sample(id).label;
        label.map_or(usize::MAX, |label| label as usize)
    }

    /// Keys of a set that was packed differ; those of another may become the same.
    fn check_distinct(self, set: &Path) -> Result<(), ToolError> {
        let hash = |id: u32| (xxh3_64(self.key(id).as_bytes()), id);
        let repeated = by_hash::repeated(self.ids().map(hash).collect(), |id| self.key(id));
        match repeated.first() {
            None => Ok(()),
            Some((id, _)) => Err(ToolError::data(
                format_args!("two samples would get the key `{}`", self.key(*id)),
                set.display(),
                "index the shards that repeat it as a set of their own",
            )),
        }
    }
}

fn write(
    options: &SplitOptions,
    samples: &Samples<'_>,
    splits: &[(&str, Vec<u32>)],
) -> Result<Manifest, ToolError> {
    let set = samples.0;
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
    for (split, ids) in splits {
        if ids.is_empty() {
            tell!("warning: split `{split}` holds no image and is left out");
            continue;
        }
        writer.begin_split(split);
        for id in ids {
            let sample = samples.sample(*id);
            sample.check()?;
            writer.append(&NewSample {
                key: &samples.key(*id),
                image: sample.image()?,
                crc: sample.crc,
                header: sample.header,
                label: sample.label,
            })?;
            progress.step(writer.num_bytes());
        }
        writer.end_split()?;
    }
    progress.finish();
    Ok(writer.finish()?)
}
