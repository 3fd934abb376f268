//! Names: of files in a set, and of samples.
//!
//! A key is `<class>/<stem>`, both escaped, so that it is unique, is valid UTF-8, and survives every
//! reader of tar and WebDataset. The rule is reversible: `%XX` stands for one byte of the source
//! name, and nothing else is changed ([`unescape`] undoes it).
//!
//! - In both parts a byte is escaped that is `%`, `\`, `/`, a control character, or not UTF-8.
//! - In the stem the dot is escaped as well, since readers split a member name at the first dot
//!   after its last slash. The class keeps its dots.
//! - A class of the form `__x__` has its first byte escaped: readers skip such members.
//! - The stem is the file name without its last extension. Where two files of one class would get
//!   the same stem (`a.jpg`, `a.JPEG`), each of them keeps its extension: `a%2Ejpg`, `a%2EJPEG`.
//! - Folders inside of a class folder belong to the stem: `x/b.jpg` becomes `x%2Fb`.

/// File name of the manifest in a packed set.
pub const MANIFEST_FILE: &str = "manifest.json";

/// Longest key in bytes that the index can hold.
pub const MAX_KEY_BYTES: usize = u16::MAX as usize;

/// The class name for a folder of this name (any bytes but `/` and NUL).
pub fn escape_class(folder: &[u8]) -> String {
    let escaped = escape(folder, false);
    let is_metadata = escaped.len() >= 4 && escaped.starts_with("__") && escaped.ends_with("__");
    if is_metadata {
        format!("%5F{}", &escaped[1..])
    } else {
        escaped
    }
}

/// The stem for this path relative to the class folder, already without extension.
pub fn escape_stem(path: &[u8]) -> String {
    escape(path, true)
}

/// The source bytes of a class or stem. A `%` without two hexadecimal digits stands for itself.
pub fn unescape(escaped: &str) -> Vec<u8> {
    let bytes = escaped.as_bytes();
    let mut source = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let byte = if bytes[at] == b'%' {
            hex_pair(bytes.get(at + 1..at + 3))
        } else {
            None
        };
        source.push(byte.unwrap_or(bytes[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    source
}

/// The stem for this path relative to the class folder: without the last extension, or with it.
pub fn stem(path: &[u8], keeps_extension: bool) -> String {
    let file_start = path
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |at| at + 1);
    let dot = path[file_start..]
        .iter()
        .rposition(|byte| *byte == b'.')
        .filter(|at| *at > 0);
    match dot {
        Some(dot) if !keeps_extension => escape_stem(&path[..file_start + dot]),
        _ => escape_stem(path),
    }
}

/// File name of a shard: `train-000000.tar`.
pub fn shard_file(split: &str, number: usize) -> String {
    format!("{split}-{number:06}.tar")
}

/// The number of the shard of `split` that is called `file`.
pub fn shard_number(file: &str, split: &str) -> Option<usize> {
    let digits = file
        .strip_prefix(split)?
        .strip_prefix('-')?
        .strip_suffix(".tar")?;
    let number = digits.parse().ok()?;
    (is_split_name(split) && shard_file(split, number) == file).then_some(number)
}

/// File name of a shard that is compressed with zstd: `train-000000.tar.zst`.
pub fn compressed_file(shard_file: &str) -> String {
    format!("{shard_file}.zst")
}

/// File name of the index beside a shard.
pub fn index_file(shard_file: &str) -> String {
    let tar = shard_file.strip_suffix(".zst").unwrap_or(shard_file);
    let stem = tar.strip_suffix(".tar").unwrap_or(tar);
    format!("{stem}.idx")
}

/// Whether a shard may be called this: no folder, not hidden, not the manifest.
pub fn is_plain_file(file: &str) -> bool {
    !file.is_empty()
        && !file.starts_with('.')
        && !file.contains(['/', '\0'])
        && file != MANIFEST_FILE
}

/// Lists the files of a set that is being replaced; it is called `.replaced.json`.
pub(crate) const REPLACED: &str = "replaced.json";

/// The name a file has until it is whole.
pub fn partial_file(file: &str) -> String {
    hidden_file(&format!("{file}.partial"))
}

/// The name of a file that is ours and not part of the set.
pub(crate) fn hidden_file(file: &str) -> String {
    format!(".{file}")
}

/// Whether this is a name made by [`partial_file`] for a file that belongs to a packed set.
pub fn is_partial(file: &str) -> bool {
    whole_file(file)
        .is_some_and(|whole| whole == MANIFEST_FILE || whole == REPLACED || is_set_file(whole))
}

/// Whether this is a name made by [`partial_file`] for what indexing writes: a manifest, or an index of any name.
pub(crate) fn is_partial_of_indexing(file: &str) -> bool {
    whole_file(file).is_some_and(|whole| whole == MANIFEST_FILE || whole.ends_with(".idx"))
}

/// The file of which this is the partial name.
pub(crate) fn whole_file(partial: &str) -> Option<&str> {
    partial.strip_prefix('.')?.strip_suffix(".partial")
}

/// Whether a split may be called this: lower-case letters, digits and `_`, not empty.
pub fn is_split_name(split: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    !split.is_empty() && split.bytes().all(allowed)
}

/// Whether this is the name of some shard or index.
pub fn is_set_file(file: &str) -> bool {
    let stem = file
        .strip_suffix(".tar")
        .or_else(|| file.strip_suffix(".tar.zst"))
        .or_else(|| file.strip_suffix(".idx"));
    let Some((split, number)) = stem.and_then(|stem| stem.rsplit_once('-')) else {
        return false;
    };
    is_split_name(split) && number.len() >= 6 && number.bytes().all(|byte| byte.is_ascii_digit())
}

fn escape(source: &[u8], escape_dots: bool) -> String {
    let mut escaped = String::with_capacity(source.len() + 8);
    for chunk in source.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '.' if escape_dots => push_escape(&mut escaped, b'.'),
                '%' | '\\' | '/' => push_escape(&mut escaped, character as u8),
                '\0'..='\x1f' | '\x7f' => push_escape(&mut escaped, character as u8),
                _ => escaped.push(character),
            }
        }
        chunk
            .invalid()
            .iter()
            .for_each(|byte| push_escape(&mut escaped, *byte));
    }
    escaped
}

fn push_escape(escaped: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    escaped.push('%');
    escaped.push(DIGITS[usize::from(byte >> 4)] as char);
    escaped.push(DIGITS[usize::from(byte & 15)] as char);
}

fn hex_pair(digits: Option<&[u8]>) -> Option<u8> {
    let [high, low] = digits? else { return None };
    let value = |digit: &u8| (*digit as char).to_digit(16);
    Some((value(high)? * 16 + value(low)?) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_plain_name_is_left_alone() {
        assert_eq!(escape_class(b"n01440764"), "n01440764");
        assert_eq!(stem(b"ILSVRC2012_val_1.JPEG", false), "ILSVRC2012_val_1");
    }

    #[test]
    fn a_class_keeps_its_dots_and_a_stem_does_not() {
        assert_eq!(escape_class(b"v1.2 cats"), "v1.2 cats");
        assert_eq!(stem(b"img.final.v2.jpg", false), "img%2Efinal%2Ev2");
    }

    #[test]
    fn odd_bytes_are_escaped_and_letters_of_any_script_are_kept() {
        assert_eq!(escape_class(b"caf\xe9\n100%"), "caf%E9%0A100%25");
        assert_eq!(escape_class("école".as_bytes()), "école");
    }

    #[test]
    fn a_class_that_readers_would_skip_as_metadata_is_escaped() {
        assert_eq!(escape_class(b"__cache__"), "%5F_cache__");
        assert_eq!(unescape("%5F_cache__"), b"__cache__");
    }

    #[test]
    fn a_hidden_file_has_a_stem() {
        assert_eq!(stem(b"sub/.jpg", false), "sub%2F%2Ejpg");
    }

    #[test]
    fn only_the_names_of_a_set_are_recognised_as_partial() {
        assert!(is_partial(&partial_file(&shard_file("train", 3))));
        assert!(is_partial(&partial_file("manifest.json")));
        assert!(!is_partial(".notes.partial"));
        assert!(!is_partial("train-000001.tar"));
    }

    proptest! {
        #[test]
        fn escaping_is_undone_by_unescaping(source in prop::collection::vec(any::<u8>(), 0..60)) {
            prop_assert_eq!(unescape(&escape_class(&source)), source.clone());
            prop_assert_eq!(unescape(&escape_stem(&source)), source);
        }

        #[test]
        fn a_stem_holds_neither_dot_nor_slash(path in "[ab/.]{1,5}", keeps_extension in any::<bool>()) {
            prop_assert!(!stem(path.as_bytes(), keeps_extension).contains(['.', '/']));
        }
    }
}
