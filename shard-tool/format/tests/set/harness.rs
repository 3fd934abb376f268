//! Makes the samples, writes them, and reads them back.

use std::fs;
use std::path::{Path, PathBuf};

use shard_format::image_header::{Content, identify};
use shard_format::{
    FinishedShard, FormatError, Manifest, NewSample, SetWriter, ShardSet, WriterOptions, name,
};

/// What goes into a set and should come out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) key: String,
    pub(crate) image: Vec<u8>,
    pub(crate) label: Option<u32>,
}

pub(crate) const OPTIONS: WriterOptions = WriterOptions {
    shard_bytes: 1 << 20,
    shard_samples: u64::MAX,
    zstd_level: None,
    overwrite: false,
};

/// The header of a JPEG of this size, followed by `tail`.
pub(crate) fn jpeg(width: u8, height: u8, tail: &[u8]) -> Vec<u8> {
    let frame = [0xff, 0xd8, 0xff, 0xc0, 0, 17, 8, 0, height, 0, width, 3];
    [
        &frame[..],
        &[1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1],
        &[0xff, 0xda],
        tail,
    ]
    .concat()
}

pub(crate) fn png() -> Vec<u8> {
    [
        &b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR"[..],
        &[0, 0, 0, 5, 0, 0, 0, 4, 8, 2, 0, 0, 0],
    ]
    .concat()
}

pub(crate) fn item(key: &str, image: Vec<u8>, label: u32) -> Item {
    Item {
        key: key.to_owned(),
        image,
        label: Some(label),
    }
}

pub(crate) fn items(num_items: u32) -> Vec<Item> {
    let item_of = |number: u32| {
        let tail = vec![number as u8; 100 * number as usize];
        item(
            &format!("class {}/{number}", number % 3),
            jpeg(number as u8 + 1, 9, &tail),
            number % 3,
        )
    };
    (0..num_items).map(item_of).collect()
}

pub(crate) fn classes() -> Vec<String> {
    (0..3).map(|number| format!("class {number}")).collect()
}

pub(crate) fn append(
    writer: &mut SetWriter,
    item: &Item,
) -> Result<Option<FinishedShard>, FormatError> {
    let Content::Image(header) = identify(&item.image) else {
        panic!("not an image")
    };
    let crc = crc32fast::hash(&item.image);
    writer.append(&NewSample {
        key: &item.key,
        image: &item.image,
        crc,
        header,
        label: item.label,
    })
}

pub(crate) fn write_with(
    dir: &Path,
    items: &[Item],
    options: WriterOptions,
) -> Result<Manifest, FormatError> {
    let mut writer = SetWriter::create(dir, classes(), options)?;
    writer.begin_split("train");
    for item in items {
        append(&mut writer, item)?;
    }
    writer.end_split()?;
    writer.finish()
}

pub(crate) fn write(dir: &Path, items: &[Item]) -> Manifest {
    write_with(dir, items, OPTIONS).expect("the set is written")
}

pub(crate) fn read(dir: &Path) -> Vec<Item> {
    let set = ShardSet::open(dir, "train").expect("the set opens");
    let item_of = |id| {
        let sample = set.sample(id).expect("the sample is there");
        sample
            .check()
            .expect("the bytes are those that were written");
        Item {
            key: sample.key.to_owned(),
            image: sample.image().expect("is there").to_vec(),
            label: sample.label,
        }
    };
    (0..set.num_samples()).map(item_of).collect()
}

pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

pub(crate) fn files_of(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir)
        .expect("listed")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    files
}

/// Keys that are hard on some part of the chain, with the member extension they get.
pub(crate) fn hard_items() -> Vec<Item> {
    let long = "l".repeat(180);
    let longest = format!("{}/{}", "c".repeat(250), "s".repeat(2_000));
    vec![
        item(
            &format!("{}/a", name::escape_class(b"v1.2.3 cats")),
            jpeg(1, 1, b""),
            0,
        ),
        item(
            &format!("{}/b", name::escape_class(b"caf\xe9")),
            jpeg(2, 1, b"x"),
            1,
        ),
        item(
            &format!("{}/c", name::escape_class("\u{732b}\n\\".as_bytes())),
            jpeg(3, 1, b"xy"),
            1,
        ),
        item(
            &format!("{}/d", name::escape_class(b"__meta__")),
            jpeg(4, 1, b"xyz"),
            2,
        ),
        item(&format!("a/{long}"), jpeg(5, 1, &[7; 511]), 2),
        item(&longest, png(), 0),
        item("a/img%2Efinal", jpeg(6, 1, &[7; 513]), 2),
    ]
}
