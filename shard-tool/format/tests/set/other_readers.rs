//! Stock `tar` and the `webdataset` crate read what this crate writes.

use std::fs;
use std::process::Command;

use crate::harness::{Item, folder, hard_items, items, png, write};

#[test]
fn stock_tar_lists_and_extracts_the_shard() {
    let (dir, out) = (folder(), folder());
    write(dir.path(), &hard_items());
    let shard = dir.path().join("train-000000.tar");
    let tar = |arguments: &[&std::ffi::OsStr]| {
        let output = Command::new("tar")
            .args(arguments)
            .output()
            .expect("tar runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("the listing is UTF-8")
    };
    let listing = tar(&[
        "--quoting-style=literal".as_ref(),
        "-tf".as_ref(),
        shard.as_os_str(),
    ]);
    let expected: Vec<String> = hard_items()
        .iter()
        .flat_map(|item| {
            let extension = if item.image == png() { "png" } else { "jpg" };
            [
                format!("{}.{extension}", item.key),
                format!("{}.cls", item.key),
            ]
        })
        .collect();
    assert_eq!(listing.lines().collect::<Vec<_>>(), expected);
    let one = expected[0].as_ref();
    tar(&[
        "-xf".as_ref(),
        shard.as_os_str(),
        "-C".as_ref(),
        out.path().as_os_str(),
        one,
    ]);
    assert_eq!(
        fs::read(out.path().join(&expected[0])).expect("extracted"),
        hard_items()[0].image
    );
}

#[test]
fn the_webdataset_crate_reads_the_same_keys_bytes_and_labels() {
    let dir = folder();
    let all = [hard_items(), items(10)].concat();
    write(dir.path(), &all);
    let url = dir.path().join("train-000000.tar");
    let url = url.to_str().expect("a UTF-8 path");
    let dataset = webdataset::WebDataset::builder_verbatim([url])
        .build()
        .expect("the set opens");
    let item_of = |sample: webdataset::Result<webdataset::Sample>| {
        let sample = sample.expect("a sample");
        let bytes = |field: &str| {
            sample
                .get(field)
                .and_then(|value| value.as_bytes())
                .map(|bytes| bytes.to_vec())
        };
        let label = String::from_utf8(bytes("cls").expect("a label")).expect("text");
        Item {
            key: sample.key().expect("a key").to_owned(),
            image: bytes("jpg").or(bytes("png")).expect("an image"),
            label: Some(label.parse().expect("a number")),
        }
    };
    let read: Vec<Item> = dataset.iter().map(item_of).collect();
    assert_eq!(read, all);
}
