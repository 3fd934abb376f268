//! Members of a tar: none lies outside of it, and the walk goes forward.
//!
//! A random header hardly ever has a right checksum, so that of every block is put right first,
//! unless the first byte asks to leave them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shard_format::members::{Members, pax_records};

mod checksum;

fuzz_target!(|input: &[u8]| {
    let Some((mode, tar)) = input.split_first() else {
        return;
    };
    let mut tar = tar.to_vec();
    if mode & 1 == 0 {
        tar.chunks_exact_mut(512).for_each(checksum::put_right);
    }
    let mut members = Members::new(&tar);
    let mut end = 0;
    while let Some(member) = members.next() {
        match member {
            Ok(member) => {
                assert!(member.header_offset >= end && member.data_offset > member.header_offset);
                assert!(tar[member.data_offset as usize..].starts_with(member.data));
                end = member.data_offset + member.data.len() as u64;
                assert!(end <= tar.len() as u64);
            }
            Err(damage) => assert!(damage.offset <= tar.len() as u64),
        }
        assert!(members.position() <= tar.len() as u64);
    }
    pax_records(&tar).for_each(drop);
});
