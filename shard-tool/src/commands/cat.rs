//! `shard-tool cat`: the bytes of one image, from a set or from any tar.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use shard_format::image_header::{Content, identify};
use shard_format::members::{Damage, Member, Members};
use shard_format::{MappedFile, Sample, ShardSet};

use super::list::Line;
use super::set;
use crate::error::ToolError;
use crate::report::counts::last_good;
use crate::report::output::{self, tell};

const ABOUT: &str = "Write the bytes of one image to stdout, as they were packed.

SET_OR_SHARD is a folder that holds manifest.json, or any tar. KEY is <class>/<stem>, as \
`shard-tool list` shows it; in a tar the whole name of any member does as well.

--json writes one object instead, with all that is known of the image but its bytes: of a sample of a set the line of \
`shard-tool list --json`; of a member of a tar its name, offset, size, checksum and, if it is an image, kind, \
colour model and size in pixels.";

const EXAMPLE: &str = "Example:
  shard-tool cat imagenet-shards n01440764/n01440764_10026 > fish.jpg";

/// Write the bytes of one image to stdout.
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLE)]
pub(crate) struct CatOptions {
    /// Folder that holds manifest.json, or a tar.
    set_or_shard: PathBuf,
    /// Which image: `<class>/<stem>`.
    key: String,
    /// Look in this split of a set only.
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// One JSON object about the image, without its bytes.
    #[arg(long)]
    json: bool,
}

/// Writes the image.
pub(crate) fn run(options: &CatOptions) -> Result<(), ToolError> {
    if options.set_or_shard.is_file() {
        cat_member(&options.set_or_shard, options)
    } else {
        cat_sample(options)
    }
}

fn cat_sample(options: &CatOptions) -> Result<(), ToolError> {
    let splits = set::open(&options.set_or_shard, options.split.as_deref())?;
    let mut found: Option<(&ShardSet, Sample<'_>)> = None;
    let of_split = |split| ShardSet::samples(split).map(move |sample| (split, sample));
    for (split, sample) in splits.iter().flat_map(of_split) {
        let sample = sample?;
        match &found {
            _ if sample.key != options.key => {}
            Some((_, first)) => tell!(
                "warning: {} is also in {}; this is the one in {}; give --split",
                options.key,
                sample.shard,
                first.shard
            ),
            None => found = Some((split, sample)),
        }
    }
    let Some((split, sample)) = found else {
        let set = options.set_or_shard.display();
        let list = format!("shard-tool list {set}");
        return Err(unknown(options, &list));
    };
    let image = sample.image()?;
    output::print(|out| match options.json {
        true => out.json(&Line::new(split, &sample)),
        false => out.bytes(image),
    })?;
    Ok(sample.check()?)
}

fn cat_member(path: &Path, options: &CatOptions) -> Result<(), ToolError> {
    let tar = MappedFile::open(path)?;
    for step in Members::going_on(&tar) {
        match step {
            Ok(member) if is_called(&member, &options.key) => {
                return output::print(|out| match options.json {
                    true => out.json(&member_line(path, &member)),
                    false => out.bytes(member.data),
                });
            }
            Ok(_) => {}
            Err(damage) if damage.offset == 0 => return Err(not_a_tar(path, &damage)),
            Err(damage) => tell!(
                "warning: {}; {} offset {}, {}",
                damage.fault,
                path.display(),
                damage.offset,
                last_good(damage.last_good.as_ref())
            ),
        }
    }
    Err(unknown(options, &format!("tar tf {}", path.display())))
}

/// What does not even begin as a tar.
pub(super) fn not_a_tar(path: &Path, damage: &Damage) -> ToolError {
    ToolError::data(
        format_args!("this is no tar: {}", damage.fault),
        path.display(),
        "give a folder with manifest.json, or a tar",
    )
}

/// What is told of a member of a tar.
fn member_line(shard: &Path, member: &Member<'_>) -> Value {
    let mut line = json!({
        "shard": shard, "name": String::from_utf8_lossy(&member.name), "offset": member.data_offset,
        "bytes": member.data.len(), "crc32": crc32fast::hash(member.data),
    });
    if let Content::Image(header) = identify(member.data) {
        line["kind"] = header.kind.name().into();
        line["colour"] = header.colour.name().into();
        line["bits"] = header.bits.into();
        line["width"] = header.width.into();
        line["height"] = header.height.into();
    }
    line
}

/// Whether the name is `key`, or `key` with the extension of an image.
fn is_called(member: &Member<'_>, key: &str) -> bool {
    let Some(rest) = member.name.strip_prefix(key.as_bytes()) else {
        return false;
    };
    let extension = rest.to_ascii_lowercase();
    matches!(extension.as_slice(), b"" | b".jpg" | b".jpeg" | b".png")
}

/// `list` is the command that lists what there is. Keys have no extension, and a class before them.
fn unknown(options: &CatOptions, list: &str) -> ToolError {
    let file = options.key.rsplit('/').next().unwrap_or_default();
    let stem = file.split('.').next().unwrap_or_default();
    ToolError::data(
        format_args!("there is no sample `{}`", options.key),
        options.set_or_shard.display(),
        format_args!("see which there are: {list} | grep '{stem}'"),
    )
}
