//! The index of a shard: as it comes, and with its checksums put right.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use shard_format::{ENTRY_BYTES, HEADER_BYTES, Index};

fuzz_target!(|input: &[u8]| {
    let _ = num_entries(input);
    let mut bytes = input.to_vec();
    if bytes.len() < HEADER_BYTES {
        return;
    }
    put_right(&mut bytes);
    if let Some(num_entries) = num_entries(&bytes) {
        assert!(num_entries as usize <= bytes.len() / ENTRY_BYTES);
    }
});

/// How many entries there are, if all make sense.
fn num_entries(bytes: &[u8]) -> Option<u64> {
    let index = Index::new(bytes, Path::new("fuzz.idx")).ok()?;
    let mut entries = (0..index.num_entries()).map(|number| index.entry(number));
    entries.all(|entry| entry.is_ok()).then_some(index.num_entries())
}

/// Magic, version, size of an entry, size of the keys and both checksums.
fn put_right(bytes: &mut [u8]) {
    bytes[..8].copy_from_slice(b"\x89SHIDX\r\n");
    bytes[8..12].copy_from_slice(&1u32.to_le_bytes());
    bytes[12..16].copy_from_slice(&(ENTRY_BYTES as u32).to_le_bytes());
    let after_header = bytes.len() - HEADER_BYTES;
    if bytes[16] == 0 {
        // Otherwise the number of entries stays the wild one that it is.
        let num_entries = usize::from(bytes[17]) % (after_header / ENTRY_BYTES + 1);
        bytes[16..24].copy_from_slice(&(num_entries as u64).to_le_bytes());
        let key_bytes = after_header - num_entries * ENTRY_BYTES;
        bytes[32..40].copy_from_slice(&(key_bytes as u64).to_le_bytes());
    }
    let body = crc32fast::hash(&bytes[HEADER_BYTES..]);
    bytes[48..52].copy_from_slice(&body.to_le_bytes());
    let header = crc32fast::hash(&bytes[..60]);
    bytes[60..64].copy_from_slice(&header.to_le_bytes());
}
