//! Compressed shards are unpacked where TMPDIR says, each when it is first read.

use std::fs;

use loader_ipc::{Client, ErrorKind};

use crate::harness::{WATCHDOG, one_epoch_in_order, run, serve_with, synth, text};

#[test]
fn room_that_is_gone_since_the_start_stops_the_loader_and_blames_no_sample() {
    let dir = tempfile::tempdir().unwrap();
    let [images, shards, tmp, socket] =
        ["images", "shards", "tmp", "loader.sock"].map(|name| dir.path().join(name));
    synth(&images, 2, 4, 32);
    let args = [
        "pack",
        text(&images),
        "--compress",
        "zstd",
        "--out",
        text(&shards),
    ];
    let packed = run("shard-tool", &args);
    assert_eq!(packed.code, Some(0), "{}", packed.stderr);
    fs::create_dir(&tmp).unwrap();
    let loader = serve_with(&shards, &socket, &[], &[("TMPDIR", &tmp)]);
    fs::remove_dir(&tmp).unwrap();
    let client = Client::connect(&socket, WATCHDOG).unwrap();
    let mut stream = client.subscribe(&one_epoch_in_order(2)).unwrap();
    let told = stream.receive(WATCHDOG).map(drop).unwrap_err();
    let ended = loader.finish();
    assert_eq!(
        (told.kind(), ended.code),
        (ErrorKind::Resources, Some(4)),
        "{told}; {}",
        ended.stderr
    );
    for told in [&told.to_string(), &ended.stderr] {
        for words in ["cannot unpack compressed shards: ", text(&tmp)] {
            assert!(told.contains(words), "{told}");
        }
    }
    assert!(!ended.stderr.contains("replaced"), "{}", ended.stderr);
}
