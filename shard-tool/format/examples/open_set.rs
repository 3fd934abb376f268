//! How long it takes to open a split, and the memory that takes: `cargo run --release -p shard-format --example open_set -- DIR SPLIT`.

use std::path::Path;
use std::time::Instant;

use shard_format::ShardSet;

fn resident_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, split] = arguments.as_slice() else {
        return Err("usage: open_set DIR SPLIT".into());
    };
    let started = Instant::now();
    let set = ShardSet::open(Path::new(dir), split)?;
    let opened = started.elapsed();
    let last = set.sample(set.num_samples() - 1)?;
    println!(
        "{} shards, {} samples: opened in {:.3} s, {} KiB resident; last key {}",
        set.manifest().splits[split].shards.len(),
        set.num_samples(),
        opened.as_secs_f64(),
        resident_kib().unwrap_or(0),
        last.key
    );
    Ok(())
}
