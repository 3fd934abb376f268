//! Shards that are compressed as a whole: each is unpacked when it is first touched, and room is asked for at once.

use std::fs;
use std::path::Path;
use std::thread;

use shard_format::{ErrorKind, Fault, FormatError, ShardSet, WriterOptions, check_room_to_unpack};

use crate::harness::{OPTIONS, folder, items, write_with};

fn write_compressed(dir: &Path) {
    let options = WriterOptions {
        zstd_level: Some(3),
        shard_samples: 10,
        ..OPTIONS
    };
    write_with(dir, &items(40), options).expect("the set is written");
}

#[test]
fn a_shard_is_unpacked_once_however_many_threads_ask_for_it_first() {
    let dir = folder();
    write_compressed(dir.path());
    let set = ShardSet::open(dir.path(), "train").expect("opens");
    let address = || Ok(set.sample(0)?.image()?.as_ptr() as usize);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(address)).collect();
        let addresses = threads
            .into_iter()
            .map(|thread| thread.join().expect("ends"));
        let addresses: Result<Vec<usize>, FormatError> = addresses.collect();
        let addresses = addresses.expect("unpacked");
        assert!(addresses.iter().all(|address| *address == addresses[0]));
    });
    for (item, sample) in items(40).iter().zip(set.samples()) {
        let sample = sample.expect("unpacked");
        sample.check().expect("sound");
        let image = sample.image().expect("unpacked");
        assert_eq!((sample.key, image), (&item.key[..], &item.image[..]));
    }
}

#[test]
fn a_damaged_shard_is_an_error_of_its_samples_alone() {
    let dir = folder();
    write_compressed(dir.path());
    let path = dir.path().join("train-000001.tar.zst");
    let mut bytes = fs::read(&path).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x20;
    fs::write(&path, bytes).expect("written");
    let set = ShardSet::open(dir.path(), "train").expect("opens, since nothing is unpacked yet");
    let outcomes: Vec<bool> = set
        .samples()
        .flatten()
        .map(|sample| sample.image().is_ok())
        .collect();
    let expected: Vec<bool> = (0..40).map(|id| id / 10 != 1).collect();
    assert_eq!(outcomes, expected);
    let sample = set.sample(10).expect("the index is sound");
    let error = sample.image().expect_err("still damaged");
    assert!(error.fault() == Fault::Compressed, "{error}");
    assert_eq!(error.kind(), ErrorKind::Data);
}

#[test]
fn room_for_all_shards_together_can_be_asked_for_before_anything_is_unpacked() {
    let dir = folder();
    write_compressed(dir.path());
    let set = ShardSet::open(dir.path(), "train").expect("opens");
    let num_bytes = set.num_bytes_to_unpack();
    assert_eq!(num_bytes, set.manifest().splits["train"].num_bytes);
    check_room_to_unpack(num_bytes).expect("is small");
    let more_than_any_disk = 1 << 62;
    let error = check_room_to_unpack(more_than_any_disk).expect_err("no disk is so large");
    assert_eq!(error.fault(), Fault::CannotUnpack);
    let needed = format!("{more_than_any_disk} bytes needed");
    assert!(error.place().contains(&needed), "{error}");
    assert_eq!(error.kind(), ErrorKind::Resources);
}
