//! Reads an array of structs from a MATLAB 5 file (MathWorks, "MAT-File Format", version 5): as much of the format as
//! ImageNet's `meta.mat` uses. Pure: bytes in, values out; it never panics, whatever the bytes.

use std::collections::HashMap;
use std::io::Read;

use flate2::read::ZlibDecoder;

/// A field of a struct.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// The first number of a numeric array.
    Number(f64),
    Text(String),
    /// Anything else.
    Other,
}

/// One struct of the array.
pub(crate) type Row = HashMap<String, Value>;

type Parsed<T> = Result<T, String>;

const HEADER_BYTES: usize = 128;
const MAX_INFLATED_BYTES: u64 = 64 << 20;

/// Types of data elements.
const INT8: u32 = 1;
const UINT8: u32 = 2;
const INT16: u32 = 3;
const UINT16: u32 = 4;
const INT32: u32 = 5;
const UINT32: u32 = 6;
const SINGLE: u32 = 7;
const DOUBLE: u32 = 9;
const INT64: u32 = 12;
const UINT64: u32 = 13;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
const UTF8: u32 = 16;

/// Classes of arrays.
const STRUCT_CLASS: u8 = 2;
const CHAR_CLASS: u8 = 4;

/// The structs of the variable `name`.
pub(crate) fn read_struct(file: &[u8], name: &str) -> Parsed<Vec<Row>> {
    if file.len() < HEADER_BYTES || &file[126..128] != b"IM" {
        return Err("this is not a little-endian MATLAB 5 file".to_owned());
    }
    let mut rest = Elements(&file[HEADER_BYTES..]);
    while let Some((kind, bytes)) = rest.next()? {
        let inflated;
        let matrix = match kind {
            COMPRESSED => {
                inflated = inflate(bytes)?;
                Elements(&inflated)
                    .next()?
                    .filter(|(kind, _)| *kind == MATRIX)
            }
            MATRIX => Some((kind, bytes)),
            _ => None,
        };
        if let Some(rows) = matrix
            .map(|(_, bytes)| struct_rows(bytes, name))
            .transpose()?
            .flatten()
        {
            return Ok(rows);
        }
    }
    Err(format!("it has no variable `{name}`"))
}

fn inflate(bytes: &[u8]) -> Parsed<Vec<u8>> {
    let mut inflated = Vec::new();
    let mut decoder = ZlibDecoder::new(bytes).take(MAX_INFLATED_BYTES);
    decoder
        .read_to_end(&mut inflated)
        .map_err(|error| format!("damaged: {error}"))?;
    Ok(inflated)
}

/// Data elements, one after another: a tag of type and size, then the bytes, padded to 8.
struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    fn next(&mut self) -> Parsed<Option<(u32, &'a [u8])>> {
        let Some((tag, rest)) = self.0.split_at_checked(8) else {
            return Ok(None);
        };
        let (first, second) = (u32_at(tag, 0), u32_at(tag, 4));
        // Up to four bytes travel inside of the tag, their number in its upper half.
        if first >> 16 != 0 {
            let num_bytes = (first >> 16) as usize;
            self.0 = rest;
            let bytes = tag[4..]
                .get(..num_bytes)
                .ok_or("a small element of more than 4 bytes")?;
            return Ok(Some((first & 0xffff, bytes)));
        }
        let num_bytes = second as usize;
        let bytes = rest
            .get(..num_bytes)
            .ok_or("an element reaches beyond the end")?;
        let padding = if first == COMPRESSED {
            0
        } else {
            num_bytes.wrapping_neg() % 8
        };
        self.0 = rest.get(num_bytes + padding..).unwrap_or(&[]);
        Ok(Some((first, bytes)))
    }

    fn expect(&mut self, what: &str) -> Parsed<(u32, &'a [u8])> {
        self.next()?.ok_or_else(|| format!("{what} is missing"))
    }
}

/// The rows of a struct array of this name; `None` for any other array.
fn struct_rows(matrix: &[u8], name: &str) -> Parsed<Option<Vec<Row>>> {
    let mut elements = Elements(matrix);
    let (_, flags) = elements.expect("the array flags")?;
    let (_, dimensions) = elements.expect("the dimensions")?;
    let (_, found) = elements.expect("the array name")?;
    if flags.first() != Some(&STRUCT_CLASS) || found != name.as_bytes() {
        return Ok(None);
    }
    let (_, name_bytes) = elements.expect("the length of field names")?;
    let name_bytes = (name_bytes.len() == 4).then(|| u32_at(name_bytes, 0) as usize);
    let name_bytes = name_bytes
        .filter(|bytes| *bytes > 0)
        .ok_or("field names without length")?;
    let (_, names) = elements.expect("the field names")?;
    let names: Vec<String> = names.chunks(name_bytes).map(text_to_zero).collect();
    // Every field takes bytes of the file, so that the file bounds the rows.
    if names.is_empty() {
        return Err("a struct without fields".to_owned());
    }
    let sizes = dimensions
        .chunks_exact(4)
        .map(|size| u32_at(size, 0) as usize);
    let num_rows = sizes.reduce(usize::saturating_mul).unwrap_or(0);
    let mut rows = Vec::new();
    for _ in 0..num_rows {
        let mut row = Row::new();
        for name in &names {
            let (_, cell) = elements.expect("a field")?;
            row.insert(name.clone(), value(cell)?);
        }
        rows.push(row);
    }
    Ok(Some(rows))
}

/// The value of a numeric or character array.
fn value(matrix: &[u8]) -> Parsed<Value> {
    let mut elements = Elements(matrix);
    let (_, flags) = elements.expect("the array flags")?;
    elements.expect("the dimensions")?;
    elements.expect("the array name")?;
    let class = flags.first().copied();
    let Some((kind, data)) = elements.next()? else {
        return Ok(Value::Other);
    };
    Ok(match class {
        Some(CHAR_CLASS) => text(kind, data).map_or(Value::Other, Value::Text),
        Some(STRUCT_CLASS) => Value::Other,
        _ => number(kind, data).map_or(Value::Other, Value::Number),
    })
}

fn text(kind: u32, data: &[u8]) -> Option<String> {
    match kind {
        INT8 | UINT8 | UTF8 => Some(String::from_utf8_lossy(data).into_owned()),
        UINT16 => {
            let units: Vec<u16> = data
                .chunks_exact(2)
                .map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
                .collect();
            Some(String::from_utf16_lossy(&units))
        }
        _ => None,
    }
}

fn number(kind: u32, data: &[u8]) -> Option<f64> {
    Some(match kind {
        INT8 => f64::from(*data.first()? as i8),
        UINT8 => f64::from(*data.first()?),
        INT16 => f64::from(i16::from_le_bytes(data.first_chunk().copied()?)),
        UINT16 => f64::from(u16::from_le_bytes(data.first_chunk().copied()?)),
        INT32 => f64::from(i32::from_le_bytes(data.first_chunk().copied()?)),
        UINT32 => f64::from(u32::from_le_bytes(data.first_chunk().copied()?)),
        SINGLE => f64::from(f32::from_le_bytes(data.first_chunk().copied()?)),
        INT64 => i64::from_le_bytes(data.first_chunk().copied()?) as f64,
        UINT64 => u64::from_le_bytes(data.first_chunk().copied()?) as f64,
        DOUBLE => f64::from_le_bytes(data.first_chunk().copied()?),
        _ => return None,
    })
}

fn text_to_zero(bytes: &[u8]) -> String {
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn another_file_is_refused() {
        assert!(read_struct(b"text", "synsets").is_err());
        assert!(read_struct(&[0; 200], "synsets").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut file = vec![0; HEADER_BYTES];
            file[126..].copy_from_slice(b"IM");
            file.extend(bytes);
            prop_assert!(read_struct(&file, "synsets").is_err());
        }
    }
}
