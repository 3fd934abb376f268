//! MATLAB files: any bytes after the header give structs or a reason, in bounded memory.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../../../src/source/mat.rs"]
mod mat;

fuzz_target!(|elements: &[u8]| {
    let mut file = vec![0; 128];
    file[126..].copy_from_slice(b"IM");
    file.extend(elements);
    if let Ok(rows) = mat::read_struct(&file, "synsets") {
        assert!(rows.len() <= (64 << 20) / 8);
    }
});
