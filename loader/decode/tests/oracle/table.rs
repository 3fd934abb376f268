//! The table in the README: a line for each colour model, sampling, way of scanning, change and other format.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use serde_json::Value;

use crate::Fate;

const BEGIN: &str = "<!-- decode matrix: made by the oracle test; UPDATE_README=1 writes it -->\n";
const END: &str = "<!-- end of the decode matrix -->\n";

/// The lines that a file counts in: a heading and a word each.
#[derive(Debug)]
pub(crate) struct Row(Vec<(usize, String)>);

/// Files by line and fate.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// By group of lines, place of the line's first file, and word.
    lines: BTreeMap<(usize, String), [usize; 5]>,
    order: Vec<(usize, String)>,
    num_files: usize,
}

const GROUPS: [&str; 5] = ["colours", "sampling", "scans", "bytes", "other formats"];

impl Row {
    pub(crate) fn of(kinds: &Value) -> Self {
        let word = |name: &str| kinds[name].as_str().expect("a word").to_owned();
        if word("colour") == "-" {
            return Self(vec![(4, word("scans"))]);
        }
        let mut change = word("change");
        if change.split(" x ").all(|side| side.parse::<u32>().is_ok()) {
            change = "none".to_owned();
        }
        let words = [word("colour"), word("sampling"), word("scans"), change];
        let lines = words.into_iter().enumerate();
        Self(lines.filter(|(_, word)| word != "-").collect())
    }
}

impl Table {
    pub(crate) fn add(&mut self, Row(lines): Row, fate: Fate) {
        self.num_files += 1;
        for line in lines {
            if !self.lines.contains_key(&line) {
                self.order.push(line.clone());
            }
            let column = match fate {
                Fate::Equal => 0,
                Fate::Differs(_) => 1,
                Fate::Refused => 2,
                Fate::OnlyOurs => 3,
                Fate::OnlyTheirs => 4,
            };
            self.lines.entry(line).or_default()[column] += 1;
        }
    }

    pub(crate) fn num_files(&self) -> usize {
        self.num_files
    }

    /// Compares with the README, or writes it.
    pub(crate) fn assert_in_readme(&self, refused: &[(&str, &str)], different: &[(&str, &str)]) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        let readme = std::fs::read_to_string(&path).expect("the README is read");
        let (head, rest) = readme.split_once(BEGIN).expect("the table begins");
        let (_, tail) = rest.split_once(END).expect("the table ends");
        let table = self.rendered(refused, different);
        let current = format!("{head}{BEGIN}{table}{END}{tail}");
        if std::env::var_os("UPDATE_README").is_some() {
            std::fs::write(&path, &current).expect("the README is written");
        } else {
            assert!(
                readme == current,
                "the README's table is old; run this test with UPDATE_README=1\n{table}"
            );
        }
    }

    fn rendered(&self, refused: &[(&str, &str)], different: &[(&str, &str)]) -> String {
        let mut text = String::from(
            "\n| | equal pixels | other pixels | refused by both | read by us alone | read by Pillow alone |\n|---|---|---|---|---|---|\n",
        );
        for (group, heading) in GROUPS.into_iter().enumerate() {
            let _ = writeln!(text, "| **{heading}** | | | | | |");
            for line in self.order.iter().filter(|line| line.0 == group) {
                let counts = self.lines[line].map(|count| match count {
                    0 => String::new(),
                    some => some.to_string(),
                });
                let _ = writeln!(text, "| {} | {} |", line.1, counts.join(" | "));
            }
        }
        let _ = writeln!(text, "\n{} files.", self.num_files);
        for (heading, list) in [
            ("Read by Pillow alone", refused),
            ("Other pixels", different),
        ] {
            for (name, reason) in list {
                let _ = writeln!(text, "{heading}: {name} ({reason}).");
            }
        }
        text.push('\n');
        text
    }
}
