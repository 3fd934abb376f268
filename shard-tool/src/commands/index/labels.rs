//! What label a sample has, by its `.cls` or its `.json`, and what the classes are called.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::options::IndexOptions;
use crate::error::ToolError;

/// Most classes that are made up from labels; beyond it a label is rather a number of something else.
const MAX_UNNAMED: usize = 1 << 20;
/// Fields of a `.json` that are looked for when none is named.
const USUAL_FIELDS: [&str; 2] = ["label", "cls"];

/// How some editors begin a text in UTF-8.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// How labels are found.
#[derive(Debug)]
pub(super) struct Labels {
    /// Names by label, if a list was given.
    names: Option<Names>,
    field: Option<String>,
    /// One more than the largest label met.
    num_used: usize,
}

#[derive(Debug)]
struct Names {
    list: Vec<String>,
    by_name: HashMap<String, u64>,
}

/// Why a sample that should have a label has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LabelFault {
    /// The text is neither a number nor the name of a class.
    Unusable,
    /// The `.json` is no JSON, or lacks the field.
    Json,
    /// There is no class of that number.
    NoClass { label: u64, num_classes: usize },
}

impl Labels {
    pub(super) fn new(options: &IndexOptions) -> Result<Self, ToolError> {
        let names = options.classes.as_deref().map(Names::read).transpose()?;
        Ok(Self {
            names,
            field: options.label_field.clone(),
            num_used: 0,
        })
    }

    /// The label of a sample with these fields; `None` if it has no field for one.
    pub(super) fn label_of(
        &mut self,
        cls: Option<&[u8]>,
        json: Option<&[u8]>,
    ) -> Result<Option<u32>, LabelFault> {
        let label = match (&self.field, cls, json) {
            (None, Some(cls), _) => self.label_of_text(std::str::from_utf8(cls).unwrap_or("?"))?,
            (_, _, Some(json)) => match self.label_of_json(json)? {
                Some(label) => label,
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        self.checked(label).map(Some)
    }

    /// The names of all classes. Without a list they are the labels in decimal, as wide as the
    /// largest, so that their order is that of the labels.
    pub(super) fn classes(&self) -> Vec<String> {
        match &self.names {
            Some(names) => names.list.clone(),
            None => {
                let width = self.num_used.saturating_sub(1).to_string().len();
                let name = |label: usize| format!("{label:0width$}");
                (0..self.num_used).map(name).collect()
            }
        }
    }

    fn checked(&mut self, label: u64) -> Result<u32, LabelFault> {
        let num_classes = match &self.names {
            Some(names) => names.list.len(),
            None => MAX_UNNAMED,
        };
        if label >= num_classes as u64 {
            return Err(LabelFault::NoClass { label, num_classes });
        }
        self.num_used = self.num_used.max(label as usize + 1);
        Ok(label as u32)
    }

    fn label_of_text(&self, text: &str) -> Result<u64, LabelFault> {
        let text = text.trim_start_matches(BYTE_ORDER_MARK).trim();
        let by_name = |names: &Names| names.by_name.get(text).copied();
        let named = self.names.as_ref().and_then(by_name);
        let is_decimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match named {
            // A list of numbers may be in another order: a decimal text is always a label.
            Some(label) if !is_decimal => Ok(label),
            _ if is_decimal => text.parse().map_err(|_| LabelFault::Unusable),
            _ => Err(LabelFault::Unusable),
        }
    }

    fn label_of_json(&self, json: &[u8]) -> Result<Option<u64>, LabelFault> {
        let value = parsed(json).ok_or(LabelFault::Json)?;
        let found = match &self.field {
            Some(field) => Some(value.get(field).ok_or(LabelFault::Json)?),
            None => USUAL_FIELDS.iter().find_map(|field| value.get(field)),
        };
        match found {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => self.label_of_text(text).map(Some),
            Some(other) => other.as_u64().map(Some).ok_or(LabelFault::Unusable),
        }
    }
}

impl Names {
    /// One name per line; a line end at the end of the file begins no line.
    fn read(path: &Path) -> Result<Self, ToolError> {
        let bytes = fs::read(path).map_err(ToolError::read(path))?;
        let unusable = |problem: String| {
            let what = format!("the list of classes is unusable: {problem}");
            ToolError::usage(what, path.display(), "give one name per line")
        };
        let text = String::from_utf8(bytes).map_err(|_| unusable("it is not UTF-8".to_owned()))?;
        let text = text.trim_start_matches(BYTE_ORDER_MARK);
        let list: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
        let mut by_name = HashMap::new();
        for (label, name) in list.iter().enumerate() {
            if name.is_empty() {
                return Err(unusable(format!("line {} is empty", label + 1)));
            }
            if let Some(first) = by_name.insert(name.clone(), label as u64) {
                let problem = format!("`{name}` is in lines {} and {}", first + 1, label + 1);
                return Err(unusable(problem));
            }
        }
        if list.is_empty() {
            return Err(unusable("it is empty".to_owned()));
        }
        Ok(Self { list, by_name })
    }
}

/// The object in a `.json`, which may begin with a byte order mark and have numbers that Python writes and JSON lacks.
fn parsed(json: &[u8]) -> Option<Value> {
    let json = json.strip_prefix("\u{feff}".as_bytes()).unwrap_or(json);
    let parsed = serde_json::from_slice(json);
    parsed
        .or_else(|_| serde_json::from_slice(&with_quoted_numbers(json)))
        .ok()
}

/// The text with `NaN`, `Infinity` and `-Infinity` in quotes, where they stand in none, so that they are values and no labels.
fn with_quoted_numbers(json: &[u8]) -> Vec<u8> {
    const NUMBERS: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];
    let (mut text, mut at, mut is_quoted) = (Vec::with_capacity(json.len()), 0, false);
    while let Some(byte) = json.get(at) {
        let number = NUMBERS.iter().find(|number| json[at..].starts_with(number));
        if let Some(number) = number.filter(|_| !is_quoted) {
            text.extend([b"\"", *number, b"\""].concat());
            at += number.len();
            continue;
        }
        is_quoted ^= *byte == b'"';
        let num_bytes = if *byte == b'\\' { 2 } else { 1 };
        let end = json.len().min(at + num_bytes);
        text.extend_from_slice(&json[at..end]);
        at = end;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(names: Option<&[&str]>, field: Option<&str>) -> Labels {
        let names = names.map(|names| Names {
            list: names.iter().map(|name| (*name).to_owned()).collect(),
            by_name: (0..)
                .zip(names)
                .map(|(label, name)| ((*name).to_owned(), label))
                .collect(),
        });
        Labels {
            names,
            field: field.map(str::to_owned),
            num_used: 0,
        }
    }

    fn cls(text: &str) -> Result<Option<u32>, LabelFault> {
        labels(None, None).label_of(Some(text.as_bytes()), None)
    }

    fn json(text: &str) -> Result<Option<u32>, LabelFault> {
        labels(None, None).label_of(None, Some(text.as_bytes()))
    }

    #[test]
    fn a_cls_is_decimal_text() {
        assert_eq!(cls("7"), Ok(Some(7)));
        assert_eq!(cls("007\n"), Ok(Some(7)));
        for text in ["", "-1", "+1", "1.0", "cat", "99999999999999999999999"] {
            assert_eq!(cls(text), Err(LabelFault::Unusable), "{text}");
        }
        assert!(matches!(cls("4294967295"), Err(LabelFault::NoClass { .. })));
    }

    #[test]
    fn a_json_has_the_label_in_a_field() {
        assert_eq!(json(r#"{"label": 3, "cls": 4}"#), Ok(Some(3)));
        assert_eq!(json(r#"{"cls": "4"}"#), Ok(Some(4)));
        assert_eq!(json(r#"{"caption": "a cat"}"#), Ok(None));
        assert_eq!(json(r#"{"label": null}"#), Ok(None));
        assert_eq!(json(r#"{"label": 3.5}"#), Err(LabelFault::Unusable));
        assert_eq!(json("{"), Err(LabelFault::Json));
        assert_eq!(json(&"[".repeat(100_000)), Err(LabelFault::Json));
    }

    #[test]
    fn a_json_as_python_writes_it_is_read_too() {
        assert_eq!(json("\u{feff}{\"label\": 3}"), Ok(Some(3)));
        assert_eq!(cls("\u{feff}7"), Ok(Some(7)));
        let text = r#"{"NaN \" NaN": NaN, "x": [-Infinity, Infinity], "label": 4}"#;
        assert_eq!(json(text), Ok(Some(4)));
        assert_eq!(json(r#"{"label": NaN}"#), Err(LabelFault::Unusable));
        assert_eq!(json(r#"{"label": NaN"#), Err(LabelFault::Json));
    }

    #[test]
    fn a_named_field_is_taken_in_place_of_the_cls() {
        let mut named = labels(None, Some("id"));
        assert_eq!(
            named.label_of(Some(b"1"), Some(br#"{"id": 2}"#)),
            Ok(Some(2))
        );
        assert_eq!(
            named.label_of(Some(b"1"), Some(b"{}")),
            Err(LabelFault::Json)
        );
        assert_eq!(named.label_of(Some(b"1"), None), Ok(None));
    }

    #[test]
    fn names_are_labels_where_a_list_was_given() {
        let mut named = labels(Some(&["cat", "dog"]), None);
        assert_eq!(named.label_of(Some(b"dog"), None), Ok(Some(1)));
        assert_eq!(named.label_of(Some(b"0"), None), Ok(Some(0)));
        let beyond = LabelFault::NoClass {
            label: 2,
            num_classes: 2,
        };
        assert_eq!(named.label_of(Some(b"2"), None), Err(beyond));
        assert_eq!(named.classes(), ["cat", "dog"]);
    }

    #[test]
    fn names_made_of_labels_are_in_their_order() {
        let mut labels = labels(None, None);
        assert!(labels.classes().is_empty());
        labels.label_of(Some(b"10"), None).expect("a label");
        assert_eq!(labels.classes().len(), 11);
        assert_eq!(labels.classes()[2], "02");
        assert!(labels.classes().is_sorted());
    }
}
