//! Checksums of tar headers, which random bytes hardly ever have right.

/// Puts that of one block right; a block of zeros stays.
pub(crate) fn put_right(block: &mut [u8]) {
    if block.iter().all(|byte| *byte == 0) {
        return;
    }
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}
