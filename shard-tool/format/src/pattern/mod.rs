//! Shard lists with braces: `train-{000000..000146}.tar`.
//!
//! Pure. The rules are those of the Python package `braceexpand` 0.1, which WebDataset readers use:
//! `{1..9}`, `{01..10..3}`, `{a..f}`, `{x,y}`, nested; a backslash takes a character as it is; braces
//! around anything else stay. Unlike there, the number of names is bounded, and so is the nesting.

mod range;

pub use range::{MAX_NAMES, PatternError};
use range::{letter_range, number_range};

/// Most braces inside of each other.
const MAX_DEPTH: usize = 32;
/// Most bytes of all names together.
const MAX_BYTES: usize = 128 << 20;

/// The names that a pattern stands for, in order.
///
/// ```
/// let names = shard_format::pattern::expand("{train,val}-{08..10}.tar").unwrap();
/// assert_eq!(names[..2], ["train-08.tar", "train-09.tar"]);
/// assert_eq!(names[5], "val-10.tar");
/// ```
///
/// # Errors
/// [`PatternError`].
pub fn expand(pattern: &str) -> Result<Vec<String>, PatternError> {
    let names = expand_at(pattern, 0)?;
    Ok(names.iter().map(|name| unescape(name)).collect())
}

/// The pattern that stands for this name alone.
///
/// ```
/// use shard_format::pattern::{escape, expand};
/// assert_eq!(expand(&escape("a{1,2}.tar")).unwrap(), ["a{1,2}.tar"]);
/// ```
pub fn escape(name: &str) -> String {
    let mut pattern = String::with_capacity(name.len());
    for character in name.chars() {
        if matches!(character, '{' | '}' | ',' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

/// Expands what lies `depth` braces deep. Escapes stay, since names are looked through again.
fn expand_at(pattern: &str, depth: usize) -> Result<Vec<String>, PatternError> {
    if depth > MAX_DEPTH {
        return Err(PatternError::TooDeep);
    }
    let mut names = vec![String::new()];
    let mut start = 0;
    for (open, close) in outer_braces(pattern)? {
        let choices = choices(&pattern[open + 1..close], depth + 1)?;
        names = product(&names, &pattern[start..open], &choices)?;
        start = close + 1;
    }
    product(&names, &pattern[start..], &[String::new()])
}

/// Every name, followed by the literal, followed by every choice.
fn product(
    names: &[String],
    literal: &str,
    choices: &[String],
) -> Result<Vec<String>, PatternError> {
    let (num_names, num_choices) = (names.len() as u128, choices.len() as u128);
    let literals = literal.len() as u128 * num_names * num_choices;
    let num_bytes = num_bytes(names) * num_choices + num_bytes(choices) * num_names + literals;
    check_bounds(num_names * num_choices, num_bytes)?;
    let with_choices = |name| {
        choices
            .iter()
            .map(move |choice| [name, literal, choice].concat())
    };
    Ok(names
        .iter()
        .map(String::as_str)
        .flat_map(with_choices)
        .collect())
}

/// In 128 bits, since a product of 64 bits may be asked for.
fn num_bytes(names: &[String]) -> u128 {
    names.iter().map(|name| name.len() as u128).sum()
}

fn check_bounds(num_names: u128, num_bytes: u128) -> Result<(), PatternError> {
    if num_names > MAX_NAMES as u128 || num_bytes > MAX_BYTES as u128 {
        return Err(PatternError::TooMany);
    }
    Ok(())
}

/// What the inside of a pair of braces stands for.
fn choices(inside: &str, depth: usize) -> Result<Vec<String>, PatternError> {
    if let Some(range) = number_range(inside).or_else(|| letter_range(inside)) {
        return range;
    }
    match parts(inside) {
        Some(parts) => {
            let (mut all, mut size) = (Vec::new(), 0);
            for part in parts {
                let names = expand_at(part, depth)?;
                size += num_bytes(&names);
                all.extend(names);
                check_bounds(all.len() as u128, size)?;
            }
            Ok(all)
        }
        None => {
            let names = expand_at(inside, depth)?;
            Ok(names.iter().map(|name| format!("{{{name}}}")).collect())
        }
    }
}

/// Positions of the outermost pairs of braces.
fn outer_braces(pattern: &str) -> Result<Vec<(usize, usize)>, PatternError> {
    let (mut pairs, mut open, mut depth) = (Vec::new(), 0, 0u32);
    for (at, character) in unescaped(pattern) {
        match character {
            '{' => {
                if depth == 0 {
                    open = at;
                }
                depth += 1;
            }
            '}' => {
                depth = depth.checked_sub(1).ok_or(PatternError::Unbalanced)?;
                if depth == 0 {
                    pairs.push((open, at));
                }
            }
            _ => {}
        }
    }
    if depth > 0 {
        return Err(PatternError::Unbalanced);
    }
    Ok(pairs)
}

/// The parts between commas that are in no inner braces; `None` if there is no such comma.
fn parts(inside: &str) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0);
    for (at, character) in unescaped(inside) {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inside[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if parts.is_empty() {
        return None;
    }
    parts.push(&inside[start..]);
    Some(parts)
}

/// The characters that no backslash precedes.
fn unescaped(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut characters = text.char_indices();
    std::iter::from_fn(move || {
        loop {
            match characters.next()? {
                (_, '\\') => drop(characters.next()),
                plain => return Some(plain),
            }
        }
    })
}

/// Takes away the backslash before each character but a line end.
fn unescape(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    let mut characters = name.chars();
    while let Some(character) = characters.next() {
        match (character, characters.clone().next()) {
            ('\\', Some(escaped)) if escaped != '\n' => {
                plain.push(escaped);
                characters.next();
            }
            _ => plain.push(character),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn joined(pattern: &str) -> String {
        expand(pattern).expect("expands").join(" ")
    }

    #[test]
    fn patterns_stand_for_what_they_stand_for_in_python() {
        for (pattern, expected) in [
            ("a-{0..3}.tar", "a-0.tar a-1.tar a-2.tar a-3.tar"),
            ("{08..10}", "08 09 10"),
            ("{10..8..2}", "10 8"),
            ("{1..-1}", "1 0 -1"),
            ("{-01..1}", "-01 000 001"),
            ("{a..g..3}", "a d g"),
            ("{Z..b}", "Z a b"),
            ("{,b}x{c,d}", "xc xd bxc bxd"),
            ("{a,b{1..2}}", "a b1 b2"),
            ("{abc}{}", "{abc}{}"),
            ("{{a,b}}", "{a} {b}"),
            (r"\{a,b\}", "{a,b}"),
            (r"{a\,b,c}", "a,b c"),
            ("{1..3..0}", "1 2 3"),
            ("plain", "plain"),
            ("", ""),
        ] {
            assert_eq!(joined(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn what_has_no_end_is_refused() {
        for (pattern, error) in [
            ("{a,b", PatternError::Unbalanced),
            ("a,b}", PatternError::Unbalanced),
            ("{0..1000000}", PatternError::TooMany),
            ("{0..9223372036854775807}", PatternError::TooMany),
            (
                "{-9223372036854775808..9223372036854775807}",
                PatternError::TooMany,
            ),
            ("{0..999}{0..999}{0..9}", PatternError::TooMany),
            ("{0..99999999999999999999}", PatternError::Number),
        ] {
            assert_eq!(expand(pattern), Err(error), "{pattern}");
        }
        let wide = format!("{{{}}}{{0..9}}", ",".repeat(100_000));
        assert_eq!(expand(&wide), Err(PatternError::TooMany));
        let long = format!("{{0..99999}}{}", "x".repeat(10_000));
        assert_eq!(expand(&long), Err(PatternError::TooMany));
        let deep = format!("{}a{}", "{".repeat(100_000), "}".repeat(100_000));
        assert_eq!(expand(&deep), Err(PatternError::TooDeep));
    }

    proptest! {
        #[test]
        fn the_webdataset_crate_expands_alike(
            parts in prop::collection::vec(
                prop::sample::select(vec!["a", "-", "{0..3}", "{01..03..2}", "{x,y}", "{p,{1..2}}", "{c..a}", "\\{", "{q}"]), 0..6)
        ) {
            let pattern = parts.concat();
            let theirs = webdataset::braceexpand::braceexpand(&pattern).expect("expands");
            prop_assert_eq!(expand(&pattern), Ok(theirs), "{}", pattern);
        }

        #[test]
        fn no_pattern_makes_it_panic(pattern in "[{},.a1\\\\-]{0,40}") {
            let _ = expand(&pattern);
        }
    }
}
