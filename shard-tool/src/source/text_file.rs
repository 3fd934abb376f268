//! Files of lines, read line by line, so that a long file takes no memory. It does not know what a line means.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use image_decode::content_name;

use crate::error::ToolError;

/// Far above a path and a class: longer lines are those of a file that is no text.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// How some editors begin a file in UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Calls `take` with the number, from 1, and the bytes of each line of a file, without the line end.
///
/// # Errors
/// If the file cannot be read or a line is longer than 1 MiB, and those of `take`.
pub(crate) fn each_line(
    path: &Path,
    mut take: impl FnMut(usize, &[u8]) -> Result<(), ToolError>,
) -> Result<(), ToolError> {
    let file = File::open(path).map_err(ToolError::read(path))?;
    let (mut lines, mut line) = (BufReader::new(file), Vec::new());
    for number in 1.. {
        line.clear();
        let mut one = (&mut lines).take(MAX_LINE_BYTES);
        let num_read = one
            .read_until(b'\n', &mut line)
            .map_err(ToolError::read(path))?;
        if num_read == 0 {
            break;
        }
        if num_read as u64 == MAX_LINE_BYTES && !line.ends_with(b"\n") {
            let place = format!("{} line {number}", path.display());
            let what = "a line is longer than 1 MiB";
            return Err(ToolError::data(what, place, "give a file of lines"));
        }
        if line.contains(&0) || (number == 1 && content_name(&line) == "gzip") {
            let what = format!("this is no text (detected: {})", content_name(&line));
            let place = format!("{} line {number}", path.display());
            return Err(ToolError::data(
                what,
                place,
                "give a file of lines, unpacked",
            ));
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        take(number, text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text))?;
    }
    Ok(())
}
