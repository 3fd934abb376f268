//! How large a launch is. Its rows (blocks along y) are views or images, which differ in size; along x all have as many blocks, and the threads of
//! these go through a row together.

/// Threads of a block.
pub const NUM_THREADS: u32 = 128;

/// Blocks of a launch at most, as long as no row is without one. A card of 132 multiprocessors holds at most 16 on each, so these fill it 124 times: one
/// large row among 256 small ones still has 1024 blocks, half of what the card holds, and what has nothing to do are not millions of blocks.
const MOST_BLOCKS: usize = 1 << 18;

/// Blocks along x of a launch of `num_rows`, the largest of which has work for `num_threads`: no more than that row needs.
pub fn num_blocks(num_threads: u32, num_rows: usize) -> u32 {
    let most = (MOST_BLOCKS / num_rows.max(1)).max(1) as u32;
    num_threads.div_ceil(NUM_THREADS).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_row_alone_has_a_thread_for_each_of_its_pixels() {
        assert_eq!(num_blocks(1, 1), 1);
        assert_eq!(num_blocks(10_000_000, 1), 78_125);
    }

    #[test]
    fn one_large_row_among_many_does_not_make_millions_of_blocks() {
        assert_eq!(num_blocks(500 * 375, 64), 1465);
        assert_eq!(num_blocks(10_000_000, 256), 1024);
        assert_eq!(num_blocks(u32::MAX, 65_535), 4);
        assert_eq!(num_blocks(u32::MAX, 1 << 20), 1);
    }
}
