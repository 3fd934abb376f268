//! A shard that was cut short: refused by the loader, or served without what is lost, on request.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use loader_ipc::{Client, ErrorKind};

use crate::harness::{WATCHDOG, one_epoch_in_order, packed, run, serve, text};

/// A packed set whose training shard has lost its second half, and a line of `shard-tool list` per sample.
fn cut_in_half(dir: &Path) -> (PathBuf, Vec<String>) {
    let shards = packed(dir, 2, 6, 32);
    let listed = run("shard-tool", &["list", text(&shards), "--split", "train"]);
    assert_eq!(listed.code, Some(0), "{}", listed.stderr);
    let tar = shards.join("train-000000.tar");
    let num_bytes = fs::metadata(&tar).unwrap().len();
    let file = File::options().write(true).open(tar).unwrap();
    file.set_len(num_bytes / 2).unwrap();
    (shards, listed.stdout.lines().map(str::to_owned).collect())
}

/// Number of samples, and the ids that one epoch in order delivers.
fn epoch(socket: &Path) -> (u64, Vec<u64>) {
    let client = Client::connect(socket, WATCHDOG).unwrap();
    let mut stream = client.subscribe(&one_epoch_in_order(2)).unwrap();
    let mut ids = Vec::new();
    while let Some(batch) = stream.receive(WATCHDOG).unwrap() {
        ids.extend(batch.sample_ids());
    }
    (stream.info().num_samples, ids)
}

#[test]
fn a_cut_shard_is_refused_with_its_last_good_sample() {
    let dir = tempfile::tempdir().unwrap();
    let (shards, listed) = cut_in_half(dir.path());
    let refused = run("loader", &["serve", text(&shards)]);
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    let told = refused.stderr.split("the last good one ").nth(1);
    let told = told.unwrap_or_else(|| panic!("{}", refused.stderr));
    let key = told.split(' ').next().unwrap();
    assert!(listed.iter().any(|line| line.contains(key)), "{key}");
    for words in [
        "error[3]: ",
        "train-000000.tar",
        " at offset ",
        "--allow-damaged",
    ] {
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
}

#[test]
fn a_shard_that_is_cut_while_it_is_served_ends_the_loader_with_words_that_its_subscriber_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let shards = packed(dir.path(), 2, 6, 32);
    let socket = dir.path().join("loader.sock");
    let loader = serve(&shards, &socket, &[]);
    let tar = File::options()
        .write(true)
        .open(shards.join("train-000000.tar"));
    tar.unwrap().set_len(0).unwrap();
    let client = Client::connect(&socket, WATCHDOG).unwrap();
    let stream = client.subscribe(&one_epoch_in_order(2));
    let received = stream.and_then(|mut stream| stream.receive(WATCHDOG).map(drop));
    let told = received.expect_err("no image is left");
    assert_eq!(told.kind(), ErrorKind::Data, "{told}");
    assert!(told.to_string().contains("shard was cut short"), "{told}");
    let ended = loader.finish();
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    for words in [
        "error[3]: a shard was cut short while it was read",
        text(&shards),
        "shard-tool verify",
    ] {
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
    assert!(!socket.exists(), "it ends in order");
}

#[test]
fn what_is_left_of_a_cut_shard_is_served_on_request_with_one_warning() {
    let dir = tempfile::tempdir().unwrap();
    let (shards, _) = cut_in_half(dir.path());
    let socket = dir.path().join("loader.sock");
    let loader = serve(&shards, &socket, &["--allow-damaged"]);
    let (num_samples, ids) = epoch(&socket);
    assert!((1..12).contains(&num_samples), "{num_samples}");
    assert!(ids.iter().copied().eq(0..num_samples), "{ids:?}");
    let stderr = loader.stderr();
    let warnings: Vec<&str> = stderr
        .lines()
        .filter(|line| line.contains("WARN"))
        .collect();
    let expected = format!("{} of 12 samples are lost", 12 - num_samples);
    assert!(
        warnings.len() == 1 && warnings[0].contains(&expected),
        "{stderr}"
    );
}
