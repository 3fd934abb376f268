//! The walk over a tar that goes on after damage: it goes forward, ends, and leaves nothing out.
//!
//! As for members, the checksum of every block is put right first, unless the first byte asks to leave them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shard_format::members::{Damage, Members};

mod checksum;

fuzz_target!(|input: &[u8]| {
    let Some((mode, tar)) = input.split_first() else {
        return;
    };
    let mut tar = tar.to_vec();
    if mode & 1 == 0 {
        tar.chunks_exact_mut(512).for_each(checksum::put_right);
    }
    let (mut end, mut num_steps, mut last) = (0, 0, None);
    for member in Members::going_on(&tar) {
        match member {
            Ok(member) => {
                assert!(member.header_offset >= end && member.data_offset > member.header_offset);
                assert!(tar[member.data_offset as usize..].starts_with(member.data));
                end = member.data_offset + member.data.len() as u64;
                last = Some(member.header_offset);
            }
            Err(Damage {
                offset, last_good, ..
            }) => {
                assert!(offset >= end);
                assert_eq!(last_good.map(|(_, offset)| offset), last);
                end = offset;
            }
        }
        assert!(end <= tar.len() as u64);
        num_steps += 1;
        // Two steps at most begin in a block: damage, then what is after it.
        assert!(num_steps <= 2 * (tar.len() / 512 + 1));
    }
});
