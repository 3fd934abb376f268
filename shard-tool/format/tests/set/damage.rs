//! Sets that are damaged or do not fit together are refused, and say where.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use shard_format::{
    ErrorKind, Fault, FormatError, HEADER_BYTES, MANIFEST_FILE, Manifest, ReadOptions, ShardSet,
    WriterOptions,
};

use crate::harness::{OPTIONS, folder, item, items, jpeg, write, write_with};

#[test]
fn an_unknown_split_is_told_with_those_there_are() {
    let dir = folder();
    write(dir.path(), &items(2));
    let error = ShardSet::open(dir.path(), "test").expect_err("there is no such split");
    assert_eq!(error.kind(), ErrorKind::Data);
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
    assert_eq!(error.fault(), Fault::ShardCut);
    let told = format!("has {} of {whole} bytes", whole - 1);
    assert!(error.what().contains(&told), "{error}");
    assert_eq!(error.kind(), ErrorKind::Data);
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
    let opened = ShardSet::open(dir.path(), "train");
    assert!(opened.is_err_and(|error| error.fault() == Fault::Index));
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
        let image = |id| set.sample(id).expect("the index is sound").image();
        assert!(image(0).is_err_and(|error| error.fault() == Fault::OutOfShard));
        assert!(image(1).is_ok());
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

/// Cuts the second of these shards after the first `num_kept` samples of it, in the middle of the next one's image.
fn cut_second_shard(dir: &Path, num_kept: u64) {
    let options = WriterOptions {
        shard_samples: 10,
        ..OPTIONS
    };
    write_with(dir, &items(30), options).expect("the set is written");
    let set = ShardSet::open(dir, "train").expect("opens");
    let at = set.sample(10 + num_kept).expect("the sample").offset + 5;
    cut(&dir.join("train-000001.tar"), at);
}

fn cut(path: &Path, num_bytes: u64) {
    let file = fs::OpenOptions::new().write(true).open(path);
    file.and_then(|file| file.set_len(num_bytes)).expect("cut");
}

fn bearing(dir: &Path) -> Result<ShardSet, FormatError> {
    let options = ReadOptions {
        allow_damaged: true,
    };
    ShardSet::open_with(dir, "train", options)
}

#[test]
fn a_cut_shard_is_refused_with_its_last_good_sample() {
    let dir = folder();
    cut_second_shard(dir.path(), 4);
    let error = ShardSet::open(dir.path(), "train").expect_err("the shard is cut");
    let message = error.to_string();
    for words in [
        "train-000001.tar has ",
        "and 4 of its 10 samples, the last good one class 1/13 at offset ",
    ] {
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn what_is_left_of_a_cut_shard_is_numbered_without_gaps() {
    let dir = folder();
    cut_second_shard(dir.path(), 4);
    let set = bearing(dir.path()).expect("opens");
    assert_eq!(set.num_samples(), 24);
    let all = items(30);
    let expected = all[..14].iter().chain(&all[20..]);
    for (item, sample) in expected.zip(set.samples()) {
        let sample = sample.expect("is there");
        sample.check().expect("is sound");
        assert_eq!(sample.key, item.key);
    }
    assert!(set.sample(24).is_err());
    let cuts: Vec<_> = set.cut_shards().collect();
    assert_eq!((cuts.len(), cuts[0].num_lost()), (1, 6));
    assert_eq!(cuts[0].last_good.as_ref().expect("one is").0, "class 1/13");
}

#[test]
fn a_shard_of_which_nothing_is_left_is_passed_over_but_not_a_whole_split() {
    let dir = folder();
    cut_second_shard(dir.path(), 0);
    let set = bearing(dir.path()).expect("opens");
    let keys: Vec<_> = set
        .samples()
        .map(|sample| sample.expect("is there").key)
        .collect();
    let expected: Vec<_> = items(30).into_iter().map(|item| item.key).collect();
    assert_eq!(keys, [&expected[..10], &expected[20..]].concat());
    for number in 0..3 {
        cut(&dir.path().join(format!("train-00000{number}.tar")), 0);
    }
    assert!(bearing(dir.path()).is_err_and(|error| error.fault() == Fault::ShardCut));
}

#[test]
fn samples_before_the_cut_that_are_not_those_that_were_packed_are_lost_too() {
    let dir = folder();
    cut_second_shard(dir.path(), 4);
    let offset = bearing(dir.path())
        .and_then(|set| Ok(set.sample(12)?.offset))
        .expect("is there");
    let path = dir.path().join("train-000001.tar");
    let mut bytes = fs::read(&path).expect("read");
    bytes[offset as usize] ^= 1;
    fs::write(&path, bytes).expect("written");
    let set = bearing(dir.path()).expect("opens");
    assert_eq!(set.num_samples(), 22);
}

#[test]
fn nothing_but_cut_shards_is_borne() {
    let dir = folder();
    cut_second_shard(dir.path(), 4);
    let index = dir.path().join("train-000001.idx");
    let mut bytes = fs::read(&index).expect("read");
    *bytes.last_mut().expect("a byte") ^= 1;
    fs::write(&index, bytes).expect("written");
    assert!(bearing(dir.path()).is_err_and(|error| error.fault() == Fault::Index));
    fs::remove_file(dir.path().join("train-000001.tar")).expect("removed");
    assert!(bearing(dir.path()).is_err_and(|error| error.fault() == Fault::MissingFile));
}

#[test]
fn a_label_without_class_is_refused() {
    let dir = folder();
    write(dir.path(), &items(6));
    let path = dir.path().join(MANIFEST_FILE);
    let mut manifest = Manifest::load(dir.path()).expect("loads");
    manifest.classes.truncate(1);
    fs::write(&path, manifest.to_json()).expect("written");
    let set = ShardSet::open(dir.path(), "train").expect("opens");
    let num_refused = set
        .samples()
        .filter(|sample| {
            sample
                .as_ref()
                .is_err_and(|error| error.fault() == Fault::Index)
        })
        .count();
    let num_beyond = items(6)
        .iter()
        .filter(|item| item.label.is_some_and(|label| label > 0))
        .count();
    assert!(
        num_beyond > 0 && num_refused == num_beyond,
        "{num_refused} of {num_beyond}"
    );
}
