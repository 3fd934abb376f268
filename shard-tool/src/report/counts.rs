//! Numbers in words, and cases counted by reason.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// How many cases are told for each reason.
const NUM_TOLD: usize = 5;

/// Cases, such as files that are left out, counted by reason.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reasons(BTreeMap<String, Cases>);

#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Cases {
    number: u64,
    first: Vec<String>,
}

impl Reasons {
    pub(crate) fn add(&mut self, reason: &str, case: impl ToString) {
        let cases = match self.0.get_mut(reason) {
            Some(cases) => cases,
            None => self.0.entry(reason.to_owned()).or_default(),
        };
        cases.number += 1;
        // The first in order, since file systems list in any.
        let case = case.to_string();
        let at = cases.first.partition_point(|first| *first < case);
        if at < NUM_TOLD {
            cases.first.insert(at, case);
            cases.first.truncate(NUM_TOLD);
        }
    }

    /// How many cases there are.
    pub(crate) fn number(&self) -> u64 {
        self.0.values().map(|cases| cases.number).sum()
    }

    /// How many cases, by reason.
    pub(crate) fn to_json(&self) -> BTreeMap<&str, u64> {
        let counts = self.0.iter();
        counts
            .map(|(reason, cases)| (reason.as_str(), cases.number))
            .collect()
    }

    /// A warning for each reason, which `line` words, and the first few cases.
    pub(crate) fn to_text(&self, line: impl Fn(u64, &str) -> String) -> String {
        let mut text = String::new();
        for (reason, cases) in &self.0 {
            text += &format!("warning: {}\n", line(cases.number, reason));
            for case in &cases.first {
                writeln!(text, "    {case}").expect("a string");
            }
            let num_untold = cases.number - cases.first.len() as u64;
            if num_untold > 0 {
                writeln!(text, "    and {} more", thousands(num_untold)).expect("a string");
            }
        }
        text
    }

    /// The text of files that were skipped.
    pub(crate) fn skipped(&self) -> String {
        self.to_text(|number, reason| format!("{} skipped: {reason}", counted(number, "file")))
    }
}

/// The last whole member of a tar before damage: its name and the offset of its header.
pub(crate) fn last_good(member: Option<&(String, u64)>) -> String {
    match member {
        Some((name, offset)) => {
            format!(
                "last good member {} at offset {offset}",
                name.escape_debug()
            )
        }
        None => "before the first whole member".to_owned(),
    }
}

/// `1 file`, `2,000 files`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let plural = match noun {
        _ if number == 1 => noun.to_owned(),
        "class" => "classes".to_owned(),
        _ => format!("{noun}s"),
    };
    format!("{} {plural}", thousands(number))
}

/// `3 grey, 1,200 ycbcr`.
pub(crate) fn list<'a>(counts: impl IntoIterator<Item = (&'a str, u64)>) -> String {
    let part = |(name, count)| format!("{} {name}", thousands(count));
    let parts = counts.into_iter().map(part);
    parts.collect::<Vec<String>>().join(", ")
}

/// `1234567` as `1,234,567`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        assert_eq!(thousands(7), "7");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_000), "1,000");
        assert_eq!(thousands(1_281_167), "1,281,167");
    }

    #[test]
    fn skipped_files_are_counted_by_reason_and_the_first_are_named() {
        let mut skips = Reasons::default();
        (0..7).for_each(|number| skips.add("text", format!("a/{number}.JPEG")));
        skips.add("empty", "b.JPEG");
        let text = skips.skipped();
        assert!(
            text.contains("1 file skipped: empty\n    b.JPEG\n"),
            "{text}"
        );
        assert!(
            text.contains("7 files skipped: text\n    a/0.JPEG\n"),
            "{text}"
        );
        assert!(text.ends_with("    a/4.JPEG\n    and 2 more\n"), "{text}");
    }
}
