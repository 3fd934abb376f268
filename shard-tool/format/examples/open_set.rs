//! What it costs to open a large split: time, and memory at its peak.
//!
//! ```text
//! cargo run --release -p shard-format --example open_set -- make DIR --shards 10000 --samples 1000
//! cargo run --release -p shard-format --example open_set -- open DIR train
//! ```
//!
//! `make` writes a set of indexes as those of ImageNet are, and of tars that have their size and no content (files with holes);
//! `open` needs a process of its own, since the peak is that of the process.

use std::error::Error;
use std::fs::{self, File};
use std::path::Path;
use std::time::Instant;

use shard_format::{
    ColourModel, Entry, ImageHeader, ImageKind, IndexBuilder, MANIFEST_FILE, Manifest,
    ShardManifest, ShardSet, SplitManifest, TAR_END_BYTES, VERSION, name,
};
use xxhash_rust::xxh3::xxh3_64;

const USAGE: &str =
    "usage: open_set make DIR [--shards N] [--samples N, in each]\n       open_set open DIR SPLIT";
const SPLIT: &str = "train";
const NUM_CLASSES: u64 = 1_000;
/// As in ImageNet, about; with headers and label.
const IMAGE_BYTES: u32 = 110_000;
const SAMPLE_BYTES: u64 = 112_128;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["make", dir, options @ ..] => make(
            Path::new(dir),
            number(options, "--shards", 10_000)?,
            number(options, "--samples", 1_000)?,
        ),
        ["open", dir, split] => open(Path::new(dir), split),
        _ => Err(USAGE.into()),
    }
}

fn number(options: &[&str], option: &str, default: u64) -> Result<u64, Box<dyn Error>> {
    let mut pairs = options.chunks(2);
    match pairs.find(|pair| pair[0] == option) {
        Some([_, value]) => Ok(value.parse()?),
        Some(_) => Err(USAGE.into()),
        None => Ok(default),
    }
}

fn make(dir: &Path, num_shards: u64, num_samples: u64) -> Result<(), Box<dyn Error>> {
    fs::create_dir(dir)?;
    let shards = (0..num_shards).map(|number| make_shard(dir, number, num_samples));
    let shards = shards.collect::<std::io::Result<Vec<ShardManifest>>>()?;
    let total = num_shards * num_samples;
    let split = SplitManifest {
        num_samples: total,
        num_unlabelled: 0,
        num_bytes: shards.iter().map(|shard| shard.num_bytes).sum(),
        kinds: [(ImageKind::JpegBaseline.name().to_owned(), total)].into(),
        colours: [(ColourModel::YCbCr.name().to_owned(), total)].into(),
        shards,
    };
    let manifest = Manifest {
        version: VERSION,
        classes: (0..NUM_CLASSES).map(class).collect(),
        splits: [(SPLIT.to_owned(), split)].into(),
        indexed_in_place: None,
    };
    fs::write(dir.join(MANIFEST_FILE), manifest.to_json())?;
    Ok(())
}

fn make_shard(dir: &Path, number: u64, num_samples: u64) -> std::io::Result<ShardManifest> {
    let mut builder = IndexBuilder::default();
    for sample in 0..num_samples {
        let id = number * num_samples + sample;
        let label = id % NUM_CLASSES;
        builder.push(&entry(sample, label), &format!("{}/{id:08}", class(label)));
    }
    let file = name::shard_file(SPLIT, number as usize);
    let num_bytes = num_samples * SAMPLE_BYTES + TAR_END_BYTES;
    let index = builder.to_bytes(num_bytes, number);
    let index_file = name::index_file(&file);
    File::create(dir.join(&file))?.set_len(num_bytes)?;
    fs::write(dir.join(&index_file), &index)?;
    Ok(ShardManifest {
        file,
        num_samples,
        num_bytes,
        zstd_bytes: None,
        xxh3: format!("{number:016x}"),
        index_file,
        index_bytes: index.len() as u64,
        index_xxh3: format!("{:016x}", xxh3_64(&index)),
    })
}

fn entry(sample: u64, label: u64) -> Entry {
    Entry {
        offset: sample * SAMPLE_BYTES + 512,
        length: IMAGE_BYTES,
        crc: 0,
        label: label as u32,
        header: ImageHeader {
            kind: ImageKind::JpegBaseline,
            colour: ColourModel::YCbCr,
            bits: 8,
            width: 500,
            height: 375,
        },
    }
}

/// As the names of ImageNet's classes.
fn class(label: u64) -> String {
    format!("n{label:08}")
}

fn open(dir: &Path, split: &str) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    let set = ShardSet::open(dir, split)?;
    let opened = started.elapsed();
    let peak_mib = peak_resident_kib().unwrap_or(0) >> 10;
    let last = set.sample(set.num_samples() - 1)?;
    println!(
        "{} shards, {} samples: opened in {:.3} s, {peak_mib} MiB resident at the peak; last key {}",
        set.manifest().splits[split].shards.len(),
        set.num_samples(),
        opened.as_secs_f64(),
        last.key
    );
    Ok(())
}

fn peak_resident_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
