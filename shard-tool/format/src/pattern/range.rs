//! Ranges in braces, of numbers and of letters.

/// Most names that a pattern may stand for.
pub const MAX_NAMES: usize = 1_000_000;
/// Why a pattern stands for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A brace has no partner.
    #[error("a brace is not closed or not opened")]
    Unbalanced,
    /// It stands for more names than [`MAX_NAMES`], or they are too long.
    #[error("it stands for more than 1,000,000 names, or more than 128 MiB of names")]
    TooMany,
    /// Too many braces inside of each other.
    #[error("it has more than 32 braces inside of each other")]
    TooDeep,
    /// A number in a range does not fit into 64 bits.
    #[error("a number of a range is too large")]
    Number,
}

/// What a range stands for; `None` if it is no range.
type Range = Option<Result<Vec<String>, PatternError>>;

/// `7..10`, `000..100..5`, `3..-1`.
pub(super) fn number_range(inside: &str) -> Range {
    let (first, last, step) = split_range(inside)?;
    if !is_number(first) || !is_number(last) {
        return None;
    }
    let (Ok(start), Ok(end), Some(step)) = (first.parse(), last.parse(), step_of(step)) else {
        return Some(Err(PatternError::Number));
    };
    let is_padded =
        |text: &str| text.trim_start_matches('-').starts_with('0') && !matches!(text, "0" | "-0");
    let width = if is_padded(first) || is_padded(last) {
        first.len().max(last.len())
    } else {
        0
    };
    let numbers = steps(start, end, step);
    Some(numbers.map(|numbers| {
        numbers
            .iter()
            .map(|number| format!("{number:0width$}"))
            .collect()
    }))
}

/// `a..f`, `Z..a`: all capital letters come before all small ones.
pub(super) fn letter_range(inside: &str) -> Range {
    let (first, last, step) = split_range(inside)?;
    let (start, end) = (position(first)?, position(last)?);
    let Some(step) = step_of(step) else {
        return Some(Err(PatternError::Number));
    };
    let numbers = steps(start, end, step);
    Some(numbers.map(|numbers| numbers.iter().map(|number| letter(*number)).collect()))
}

/// `first..last` or `first..last..step`; the step is digits, perhaps after a minus.
fn split_range(inside: &str) -> Option<(&str, &str, &str)> {
    let (first, rest) = inside.split_once("..")?;
    let (last, step) = rest.split_once("..").unwrap_or((rest, "1"));
    is_number(step).then_some((first, last, step))
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The step without its sign; 0 counts as 1.
fn step_of(step: &str) -> Option<i64> {
    let step: i64 = step.trim_start_matches('-').parse().ok()?;
    Some(step.max(1))
}

fn steps(start: i64, end: i64, step: i64) -> Result<Vec<i64>, PatternError> {
    let num_steps = start.abs_diff(end) / step as u64;
    if num_steps >= MAX_NAMES as u64 {
        return Err(PatternError::TooMany);
    }
    let signed = if start <= end { step } else { -step };
    // No step leads beyond `end`, so nothing overflows.
    Ok((0..=num_steps as i64)
        .map(|number| start + number * signed)
        .collect())
}

const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fn position(text: &str) -> Option<i64> {
    let position = (text.len() == 1).then(|| ALPHABET.find(text))?;
    position.map(|position| position as i64)
}

fn letter(position: i64) -> String {
    let position = position as usize;
    ALPHABET[position..=position].to_owned()
}
