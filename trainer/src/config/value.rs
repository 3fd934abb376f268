//! Kinds of values, and which literals are of a kind.

use std::fmt;

use super::literal::Literal;
use super::node::Node;

/// What a key may hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// `True` or `False`.
    Bool,
    /// A whole number in this range, ends included.
    Int(i64, i64),
    /// A number in this range, ends included.
    Float(f64, f64),
    /// Any text, byte for byte.
    Text,
    /// A text as it is, or a list of texts.
    Texts,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of whole numbers: least and most entries, range of each.
    Ints(usize, usize, i64, i64),
    /// A list of numbers: least and most entries, range of each.
    Floats(usize, usize, f64, f64),
}

/// A value of its kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Truth.
    Bool(bool),
    /// Whole number.
    Int(i64),
    /// Number.
    Float(f64),
    /// Text or choice.
    Text(String),
    /// At least one text.
    Texts(Vec<String>),
    /// Whole numbers.
    Ints(Vec<i64>),
    /// Numbers.
    Floats(Vec<f64>),
}

impl Kind {
    /// The value that `node` writes, or the sentence that says what was expected.
    pub(super) fn read(self, node: &Node) -> Result<Value, String> {
        let value = match (self, node.literal()) {
            (Kind::Text, _) => node.text().map(|text| Value::Text(text.to_owned())),
            (Kind::Texts, literal) => texts(node, literal).map(Value::Texts),
            (Kind::Bool, Literal::Bool(truth)) => Some(Value::Bool(truth)),
            (Kind::Int(low, high), Literal::Int(number)) => {
                (low..=high).contains(&number).then_some(Value::Int(number))
            }
            (Kind::Float(low, high), literal) => float(&literal, low, high).map(Value::Float),
            (Kind::Choice(words), Literal::Text(word)) => {
                words.contains(&word.as_str()).then_some(Value::Text(word))
            }
            (Kind::Ints(least, most, low, high), Literal::List(items)) => {
                check_length(items.len(), least, most)?;
                let int = |item: &Literal| match item {
                    Literal::Int(number) => (low..=high).contains(number).then_some(*number),
                    _ => None,
                };
                items
                    .iter()
                    .map(int)
                    .collect::<Option<_>>()
                    .map(Value::Ints)
            }
            (Kind::Floats(least, most, low, high), Literal::List(items)) => {
                check_length(items.len(), least, most)?;
                let numbers = items.iter().map(|item| float(item, low, high));
                numbers.collect::<Option<_>>().map(Value::Floats)
            }
            _ => None,
        };
        value.ok_or_else(|| format!("expected {self}, found {node}"))
    }
}

/// The texts of a list, or the one that is there; nothing else is a list than what is written as one.
fn texts(node: &Node, literal: Literal) -> Option<Vec<String>> {
    let Literal::List(items) = literal else {
        return node.text().map(|text| vec![text.to_owned()]);
    };
    let text = |item| match item {
        Literal::Text(text) => Some(text),
        _ => None,
    };
    let texts: Vec<String> = items.into_iter().map(text).collect::<Option<_>>()?;
    (!texts.is_empty()).then_some(texts)
}

/// A finite number in a range; a whole number is one, too.
fn float(literal: &Literal, low: f64, high: f64) -> Option<f64> {
    let number = match literal {
        Literal::Int(number) => *number as f64,
        Literal::Float(number) => *number,
        _ => return None,
    };
    let is_in_range = number.is_finite() && (low..=high).contains(&number);
    is_in_range.then_some(number)
}

fn check_length(len: usize, least: usize, most: usize) -> Result<(), String> {
    if (least..=most).contains(&len) {
        return Ok(());
    }
    let wanted = if least == most {
        least.to_string()
    } else {
        format!("{least} to {most}")
    };
    Err(format!("expected {wanted} values, found {len}"))
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Bool => write!(f, "True or False"),
            Kind::Int(low, high) if *high == i64::MAX => {
                write!(f, "a whole number of at least {low}")
            }
            Kind::Int(low, high) => write!(f, "a whole number from {low} to {high}"),
            Kind::Float(low, high) if *high == f64::MAX => write!(f, "a number of at least {low}"),
            Kind::Float(low, high) => write!(f, "a number from {low} to {high}"),
            Kind::Text => write!(f, "text"),
            Kind::Texts => write!(f, "text or a list of texts"),
            Kind::Choice(words) => write!(f, "one of {}", words.join(", ")),
            Kind::Ints(_, _, low, _) => write!(f, "a list of whole numbers of at least {low}"),
            Kind::Floats(_, _, low, high) if *high == f64::MAX => {
                write!(f, "a list of numbers of at least {low}")
            }
            Kind::Floats(_, _, low, high) => write!(f, "a list of numbers from {low} to {high}"),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Bool(true) => write!(f, "True"),
            Value::Bool(false) => write!(f, "False"),
            Value::Int(number) => write!(f, "{number}"),
            Value::Float(number) => write!(f, "{number}"),
            Value::Text(text) => write!(f, "{text}"),
            Value::Texts(texts) => match &texts[..] {
                [text] => write!(f, "{text}"),
                texts => write!(f, "['{}']", texts.join("', '")),
            },
            Value::Ints(numbers) => write!(f, "{numbers:?}"),
            Value::Floats(numbers) => write!(f, "{numbers:?}"),
        }
    }
}
