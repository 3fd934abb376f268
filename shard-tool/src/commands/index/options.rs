//! The options of `shard-tool index`.

use std::path::PathBuf;

use clap::Args;

const ABOUT_INDEX: &str = "Index WebDataset shards where they are, so that the loader serves them.

PATTERN names tars by path, with braces as in Python: {000000..000146}, {a,b}; several patterns are joined by \
`::`. All tars of a set lie in one folder; each gets an index beside it, then the folder a manifest.json. The tars \
are only read, and must not be written into while the set is in use.

Consecutive members that differ only after the first dot of the file name are a sample. Its image is the \
first JPEG or PNG among its .jpg, .jpeg, .png, ...; its label is the decimal text in .cls, or a field of .json.";

const EXAMPLES_INDEX: &str = "Examples:
  shard-tool index '/data/imagenet/train-{000000..000146}.tar' --classes names.txt
  shard-tool index --split train='in1k/train-{0000..1023}.tar' --split val='in1k/val-{00..63}.tar'

Exit codes: 0 done, 2 usage, 3 data, 4 resources (disk full, folder in use).";

/// Index WebDataset shards where they are, so that the loader serves them.
#[derive(Debug, Clone, Args)]
#[command(long_about = ABOUT_INDEX, after_help = EXAMPLES_INDEX)]
pub(crate) struct IndexOptions {
    /// The shards of split `train`.
    #[arg(
        value_name = "PATTERN",
        required_unless_present_any = ["split", "again"],
        conflicts_with = "split"
    )]
    pub(crate) pattern: Option<String>,
    /// The shards of a split; may be given again, for this split or another.
    #[arg(long, value_name = "NAME=PATTERN", value_parser = split_pattern)]
    pub(crate) split: Vec<(String, String)>,
    /// File with the names of the classes, one per line, in the order of the labels [default: the
    /// labels themselves].
    #[arg(long, value_name = "FILE")]
    pub(crate) classes: Option<PathBuf>,
    /// Take the label from this field of the .json, not from the .cls [default: .cls, else the
    /// field `label` or `cls` of the .json].
    #[arg(long, value_name = "NAME")]
    pub(crate) label_field: Option<String>,
    /// Use what comes before the damage in a damaged shard, with a warning.
    #[arg(long)]
    pub(crate) allow_damaged: bool,
    /// Replace the manifest, and any file where an index goes.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Index the tars of the set in this folder again, as they were indexed before.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["pattern", "split", "classes", "label_field"])]
    pub(crate) again: Option<PathBuf>,
    /// Print the summary as one line of JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

fn split_pattern(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((split, pattern)) if shard_format::name::is_split_name(split) => {
            Ok((split.to_owned(), pattern.to_owned()))
        }
        _ => Err(
            "give a split of lower-case letters, digits and _, and its shards: \
                  train='train-{000..146}.tar'"
                .to_owned(),
        ),
    }
}
