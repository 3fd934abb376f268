//! Turning 16 rows of bytes into columns and back, so that a filter along a row becomes arithmetic on 16 rows at a time.
//!
//! Eight rows make blocks of 8 x 8 bytes, a word per row and block, transposed by exchanging quarters of quarters. The blocks of a group go side
//! by side, so that every step is the same operation on neighbouring words.

/// Rows in a tile.
pub(super) const TILE_ROWS: usize = 16;
/// Columns that are turned together: a buffer of columns is whole groups long.
pub(super) const GROUP: usize = NUM_BLOCKS * SIDE;

const SIDE: usize = 8;
const NUM_BLOCKS: usize = 32;

/// Blocks side by side: `[line][block]`, the bytes of a block's line in a little-endian word.
type Blocks = [[u64; NUM_BLOCKS]; SIDE];

/// Writes `columns[x][row] = rows[row][x]`; what lies beyond the rows' width is unspecified.
#[inline(always)]
pub(super) fn rows_to_columns(rows: &[&[u8]; TILE_ROWS], columns: &mut [[u8; TILE_ROWS]]) {
    let mut blocks: Blocks = [[0; NUM_BLOCKS]; SIDE];
    for (index, columns) in columns.chunks_exact_mut(GROUP).enumerate() {
        for (half, rows) in rows.chunks_exact(SIDE).enumerate() {
            for (line, row) in blocks.iter_mut().zip(rows) {
                load(&row[index * GROUP..], line);
            }
            transpose(&mut blocks);
            for (block, columns) in columns.chunks_exact_mut(SIDE).enumerate() {
                for (line, column) in blocks.iter().zip(columns) {
                    column[half * SIDE..][..SIDE].copy_from_slice(&line[block].to_le_bytes());
                }
            }
        }
    }
}

/// Writes `rows[row * stride + x] = columns[x][row]` for `x < stride` and every row that `rows` has, up to 16.
#[inline(always)]
pub(super) fn columns_to_rows(columns: &[[u8; TILE_ROWS]], rows: &mut [u8], stride: usize) {
    let mut blocks: Blocks = [[0; NUM_BLOCKS]; SIDE];
    for (index, columns) in columns.chunks_exact(GROUP).enumerate() {
        for (half, rows) in rows.chunks_mut(stride * SIDE).enumerate() {
            for (block, columns) in columns.chunks_exact(SIDE).enumerate() {
                for (line, column) in blocks.iter_mut().zip(columns) {
                    line[block] = word(&column[half * SIDE..]);
                }
            }
            transpose(&mut blocks);
            for (row, line) in rows.chunks_exact_mut(stride).zip(&blocks) {
                store(line, &mut row[index * GROUP..]);
            }
        }
    }
}

#[inline(always)]
fn word(bytes: &[u8]) -> u64 {
    let mut word = [0; SIDE];
    word.copy_from_slice(&bytes[..SIDE]);
    u64::from_le_bytes(word)
}

/// As many bytes as there are, up to a group.
#[inline(always)]
fn load(from: &[u8], line: &mut [u64; NUM_BLOCKS]) {
    let mut bytes = [0; GROUP];
    match from.first_chunk() {
        Some(whole) => bytes = *whole,
        None => bytes[..from.len()].copy_from_slice(from),
    }
    for (word_out, bytes) in line.iter_mut().zip(bytes.chunks_exact(SIDE)) {
        *word_out = word(bytes);
    }
}

/// As many bytes as there is room for, up to a group.
#[inline(always)]
fn store(line: &[u64; NUM_BLOCKS], to: &mut [u8]) {
    let mut bytes = [0; GROUP];
    for (word, bytes) in line.iter().zip(bytes.chunks_exact_mut(SIDE)) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    match to.first_chunk_mut() {
        Some(whole) => *whole = bytes,
        None => to.copy_from_slice(&bytes[..to.len()]),
    }
}

/// Transposes each of the blocks.
#[inline(always)]
fn transpose(blocks: &mut Blocks) {
    for block in 0..NUM_BLOCKS {
        let mut lines = [0; SIDE];
        for (line, blocks) in lines.iter_mut().zip(&*blocks) {
            *line = blocks[block];
        }
        exchange::<1>(&mut lines, 0x00ff_00ff_00ff_00ff);
        exchange::<2>(&mut lines, 0x0000_ffff_0000_ffff);
        exchange::<4>(&mut lines, 0x0000_0000_ffff_ffff);
        for (line, blocks) in lines.iter().zip(&mut *blocks) {
            blocks[block] = *line;
        }
    }
}

/// Exchanges the upper right and the lower left quarter of every square of `2 * DISTANCE` bytes.
#[inline(always)]
fn exchange<const DISTANCE: usize>(lines: &mut [u64; SIDE], mask: u64) {
    let shift = 8 * DISTANCE;
    for pair in 0..SIDE / 2 {
        let upper = pair / DISTANCE * 2 * DISTANCE + pair % DISTANCE;
        let lower = upper + DISTANCE;
        let swap = ((lines[upper] >> shift) ^ lines[lower]) & mask;
        lines[upper] ^= swap << shift;
        lines[lower] ^= swap;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_hold_what_the_rows_held_and_come_back() {
        for (width, num_rows) in [(1, 1), (15, 16), (16, 8), (64, 9), (257, 16), (600, 3)] {
            let value = |row: usize, x: usize| (row * 31 + x * 7) as u8;
            let stored: Vec<Vec<u8>> = (0..TILE_ROWS)
                .map(|row| (0..width).map(|x| value(row, x)).collect())
                .collect();
            let rows: [&[u8]; TILE_ROWS] = std::array::from_fn(|row| stored[row].as_slice());
            let mut columns = vec![[0; TILE_ROWS]; usize::next_multiple_of(width, GROUP)];
            rows_to_columns(&rows, &mut columns);
            for (x, column) in columns.iter().enumerate().take(width) {
                assert_eq!(*column, std::array::from_fn(|row| value(row, x)));
            }
            let mut back = vec![0; width * num_rows];
            columns_to_rows(&columns, &mut back, width);
            assert_eq!(back, stored[..num_rows].concat());
        }
    }
}
