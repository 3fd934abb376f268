//! Indexes that are read as they were written, and damaged ones.

use std::path::Path;

use super::*;
use crate::error::{Fault, FormatError};
use crate::sample::{ColourModel, ImageHeader, ImageKind};
use proptest::prelude::*;

fn entry(offset: u64) -> Entry {
    let header = ImageHeader {
        kind: ImageKind::JpegProgressive,
        colour: ColourModel::Ycck,
        bits: 8,
        width: 70_000,
        height: 3,
    };
    Entry {
        offset,
        length: 17,
        crc: 0xdead_beef,
        label: 9,
        header,
    }
}

fn two_entries() -> Vec<u8> {
    let mut builder = IndexBuilder::default();
    builder.push(&entry(512), "a/b");
    builder.push(&entry(1 << 40), "class/stem");
    builder.to_bytes(1 << 41, 77)
}

fn open(bytes: &[u8]) -> Result<Index, FormatError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("train-000000.idx");
    std::fs::write(&path, bytes).expect("written");
    Index::open(&path)
}

#[test]
fn entries_and_keys_come_back_as_they_were_pushed() {
    let index = open(&two_entries()).expect("opens");
    assert_eq!(index.num_entries(), 2);
    assert_eq!((index.shard_bytes(), index.shard_digest()), (1 << 41, 77));
    assert_eq!(index.entry(0).expect("entry"), (entry(512), "a/b"));
    assert_eq!(
        index.entry(1).expect("entry"),
        (entry(1 << 40), "class/stem")
    );
    let error = index.entry(2).expect_err("there are two");
    assert_eq!(error.fault(), Fault::Index);
}

#[test]
fn an_index_in_memory_reads_like_one_on_disk() {
    let index = Index::from_bytes(&two_entries(), Path::new("x.idx")).expect("opens");
    assert_eq!(index.entry(0).expect("entry"), (entry(512), "a/b"));
    assert_eq!(index.bytes(), two_entries());
}

#[test]
fn an_index_cut_anywhere_is_refused() {
    let bytes = two_entries();
    for length in 0..bytes.len() {
        assert!(open(&bytes[..length]).is_err(), "at {length}");
    }
}

#[test]
fn an_index_of_another_version_says_so() {
    let mut bytes = two_entries();
    bytes[8] = 2;
    let crc = crc32fast::hash(&bytes[..60]).to_le_bytes();
    bytes[60..64].copy_from_slice(&crc);
    let error = open(&bytes).expect_err("another version");
    assert_eq!(error.what(), "the index has version 2, not 1");
}

proptest! {
    #[test]
    fn every_flipped_bit_is_detected(at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let mut bytes = two_entries();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let detected = open(&bytes).and_then(|index| index.entry(0).map(drop)).is_err();
        prop_assert!(detected, "byte {} bit {}", at, bit);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(open(&bytes).is_err());
    }

    #[test]
    fn a_lying_body_with_a_right_checksum_does_not_make_it_panic(
        body in prop::collection::vec(any::<u8>(), 80..93)
    ) {
        let mut bytes = two_entries();
        let length = bytes.len() - HEADER_BYTES;
        bytes[HEADER_BYTES..].copy_from_slice(&[body, vec![0; 13]].concat()[..length]);
        let body_crc = crc32fast::hash(&bytes[HEADER_BYTES..]).to_le_bytes();
        bytes[48..52].copy_from_slice(&body_crc);
        let header_crc = crc32fast::hash(&bytes[..60]).to_le_bytes();
        bytes[60..64].copy_from_slice(&header_crc);
        let index = open(&bytes).expect("the checksums hold");
        drop((index.entry(0), index.entry(1)));
    }
}
