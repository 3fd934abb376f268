//! Files that `torch.save` wrote: any pickle gives as many objects as it has bytes at most, or a reason, and so does any file of the format
//! before archives; what the file says of its storages lies within it.

#![no_main]
#![allow(dead_code)]

// The reader takes nothing from libtorch but the kinds of numbers.
extern crate self as tch;

use libfuzzer_sys::fuzz_target;

/// The kinds that storages have, with the bytes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Bool = 1,
    Uint8 = 0x11,
    Int8 = 0x21,
    Int16 = 2,
    Half = 0x12,
    BFloat16 = 0x22,
    Int = 4,
    Float = 0x14,
    Int64 = 8,
    Double = 0x18,
}

impl Kind {
    pub fn elt_size_in_bytes(self) -> usize {
        self as usize & 0xf
    }
}

mod pretrained;

fuzz_target!(|bytes: &[u8]| pretrained::read(bytes));
