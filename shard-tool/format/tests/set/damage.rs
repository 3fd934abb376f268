//! Sets that are damaged or do not fit together are refused, and say where.

use std::fs;

use proptest::prelude::*;
use shard_format::{FormatError, HEADER_BYTES, ShardSet};

use crate::harness::{folder, item, items, jpeg, write};

#[test]
fn an_unknown_split_is_told_with_those_there_are() {
    let dir = folder();
    write(dir.path(), &items(2));
    let error = ShardSet::open(dir.path(), "test").expect_err("there is no such split");
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().ends_with("it has: train"), "{error}");
}

#[test]
fn a_truncated_shard_is_refused() {
    let dir = folder();
    write(dir.path(), &items(20));
    let path = dir.path().join("train-000000.tar");
    let whole = fs::metadata(&path).expect("the shard").len();
    fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|file| file.set_len(whole - 1))
        .expect("cut");
    let error = ShardSet::open(dir.path(), "train").expect_err("the shard is cut");
    assert!(
        matches!(error, FormatError::SizeDiffers { expected, found, .. } if (expected, found) == (whole, whole - 1))
    );
}

#[test]
fn a_missing_shard_is_named() {
    let dir = folder();
    write(dir.path(), &items(2));
    fs::remove_file(dir.path().join("train-000000.idx")).expect("removed");
    let error = ShardSet::open(dir.path(), "train").expect_err("the index is gone");
    assert!(error.to_string().contains("train-000000.idx"), "{error}");
}

#[test]
fn a_shard_of_another_set_is_refused() {
    let (dir, other) = (folder(), folder());
    write(dir.path(), &[item("a/x", jpeg(1, 1, b"one"), 0)]);
    write(other.path(), &[item("a/x", jpeg(1, 1, b"two"), 0)]);
    let index = "train-000000.idx";
    fs::copy(other.path().join(index), dir.path().join(index)).expect("copied");
    assert!(matches!(
        ShardSet::open(dir.path(), "train"),
        Err(FormatError::IndexInvalid { .. })
    ));
}

#[test]
fn an_entry_that_points_outside_of_its_shard_is_refused() {
    let dir = folder();
    write(dir.path(), &items(2));
    let path = dir.path().join("train-000000.idx");
    let mut bytes = fs::read(&path).expect("read");
    for offset in [u64::MAX, 1 << 40] {
        bytes[HEADER_BYTES..HEADER_BYTES + 8].copy_from_slice(&offset.to_le_bytes());
        let body_crc = crc32fast::hash(&bytes[HEADER_BYTES..]).to_le_bytes();
        bytes[48..52].copy_from_slice(&body_crc);
        let header_crc = crc32fast::hash(&bytes[..60]).to_le_bytes();
        bytes[60..64].copy_from_slice(&header_crc);
        fs::write(&path, &bytes).expect("written");
        let set = ShardSet::open(dir.path(), "train").expect("the header is sound");
        assert!(matches!(set.sample(0), Err(FormatError::OutOfShard { .. })));
        assert!(set.sample(1).is_ok());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_flipped_bit_of_index_or_image_is_detected(at in any::<prop::sample::Index>(), bit in 0..8u8, in_index in any::<bool>()) {
        let dir = folder();
        write(dir.path(), &items(3));
        let file = if in_index { "train-000000.idx" } else { "train-000000.tar" };
        let mut bytes = fs::read(dir.path().join(file)).expect("read");
        let range = if in_index { 0..bytes.len() } else { 512..512 + items(1)[0].image.len() };
        let at = range.start + at.index(range.len());
        bytes[at] ^= 1 << bit;
        fs::write(dir.path().join(file), bytes).expect("written");
        let outcome = ShardSet::open(dir.path(), "train").and_then(|set| set.sample(0)?.check());
        prop_assert!(outcome.is_err(), "byte {} of {}", at, file);
    }
}
