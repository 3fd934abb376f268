//! `shard-tool list`: a line per sample, from the indexes alone.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use shard_format::{Sample, ShardSet};

use super::set;
use crate::error::ToolError;
use crate::report::output;

const ABOUT: &str = "List the samples of a set: a line each, in the order of their numbers.

Columns, parted by tabs: key, label, class, kind, colour model, width x height, bytes, shard, offset of \
the image in the shard. An unlabelled sample has `-` for label and class. What would break a line is escaped (\\t, \\n). \
Only indexes are read; the tars must be there.";

const EXAMPLE: &str = "Example: the ten largest images of val
  shard-tool list imagenet-shards --split val | sort -t$'\\t' -k7nr | head";

/// List the samples of a set, a line each.
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLE)]
pub(crate) struct ListOptions {
    /// Folder that holds manifest.json.
    set: PathBuf,
    /// Only this split.
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// A JSON object on each line.
    #[arg(long)]
    json: bool,
}

/// A line of `--json`: all that is known of a sample but its bytes.
#[derive(Debug, Serialize)]
pub(crate) struct Line<'a> {
    split: &'a str,
    key: &'a str,
    label: Option<u32>,
    class: Option<&'a str>,
    kind: &'static str,
    colour: &'static str,
    bits: u8,
    width: u32,
    height: u32,
    bytes: u32,
    crc32: u32,
    shard: &'a str,
    offset: u64,
}

/// Prints the list.
pub(crate) fn run(options: &ListOptions) -> Result<(), ToolError> {
    let splits = set::open(&options.set, options.split.as_deref())?;
    output::print(|out| {
        for split in &splits {
            for sample in split.samples() {
                let line = Line::new(split, &sample?);
                if options.json {
                    out.json(&line)?;
                } else {
                    out.line(&line.to_text())?;
                }
            }
        }
        Ok(())
    })
}

impl<'a> Line<'a> {
    pub(crate) fn new(split: &'a ShardSet, sample: &Sample<'a>) -> Self {
        Self {
            split: split.split(),
            key: sample.key,
            label: sample.label,
            class: set::class_of(split.classes(), sample.label),
            kind: sample.header.kind.name(),
            colour: sample.header.colour.name(),
            bits: sample.header.bits,
            width: sample.header.width,
            height: sample.header.height,
            bytes: sample.num_bytes,
            crc32: sample.crc,
            shard: sample.shard,
            offset: sample.offset,
        }
    }

    fn to_text(&self) -> String {
        let label = self.label.map_or("-".to_owned(), |label| label.to_string());
        format!(
            "{}\t{label}\t{}\t{}\t{}\t{}x{}\t{}\t{}\t{}",
            self.key.escape_debug(),
            self.class.unwrap_or("-").escape_debug(),
            self.kind,
            self.colour,
            self.width,
            self.height,
            self.bytes,
            self.shard,
            self.offset
        )
    }
}
