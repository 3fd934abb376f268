//! Kinds of values and how text becomes one.

use std::fmt;

use super::yaml::Node;

/// What a key may hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// `True` or `False` (YAML 1.1 words, any case).
    Bool,
    /// A whole number in this range, ends included.
    Int(i64, i64),
    /// A number in this range, ends included.
    Float(f64, f64),
    /// Any text.
    Text,
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
    /// Whole numbers.
    Ints(Vec<i64>),
    /// Numbers.
    Floats(Vec<f64>),
}

impl Kind {
    /// The value that `node` writes, or the sentence that says what was expected.
    pub(super) fn read(self, node: &Node) -> Result<Value, String> {
        let wanted = || format!("expected {}, found {}", self, Found(node));
        match (self, node) {
            (Kind::Ints(least, most, low, high), Node::List(items)) => {
                check_length(items.len(), least, most)?;
                let numbers: Option<Vec<i64>> = items.iter().map(int).collect();
                let numbers = numbers.ok_or_else(wanted)?;
                let in_range = numbers.iter().all(|n| (low..=high).contains(n));
                in_range.then_some(Value::Ints(numbers)).ok_or_else(wanted)
            }
            (Kind::Floats(least, most, low, high), Node::List(items)) => {
                check_length(items.len(), least, most)?;
                let numbers: Option<Vec<f64>> = items.iter().map(float).collect();
                let numbers = numbers.ok_or_else(wanted)?;
                let in_range = numbers.iter().all(|n| (low..=high).contains(n));
                in_range
                    .then_some(Value::Floats(numbers))
                    .ok_or_else(wanted)
            }
            (_, Node::Scalar(text)) => self.read_scalar(node, text).ok_or_else(wanted),
            _ => Err(wanted()),
        }
    }

    fn read_scalar(self, node: &Node, text: &str) -> Option<Value> {
        match self {
            Kind::Bool => truth(text).map(Value::Bool),
            Kind::Int(low, high) => int(node)
                .filter(|n| (low..=high).contains(n))
                .map(Value::Int),
            Kind::Float(low, high) => float(node)
                .filter(|n| (low..=high).contains(n))
                .map(Value::Float),
            Kind::Text => Some(Value::Text(text.to_owned())),
            Kind::Choice(words) => words.contains(&text).then(|| Value::Text(text.to_owned())),
            Kind::Ints(..) | Kind::Floats(..) => None,
        }
    }
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

fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn int(node: &Node) -> Option<i64> {
    let Node::Scalar(text) = node else {
        return None;
    };
    text.replace('_', "").parse().ok()
}

fn float(node: &Node) -> Option<f64> {
    let Node::Scalar(text) = node else {
        return None;
    };
    text.replace('_', "")
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite())
}

/// How a value that does not fit is quoted.
struct Found<'a>(&'a Node);

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Node::Scalar(text) => write!(f, "`{text}`"),
            Node::List(items) => {
                let words: Vec<String> = items.iter().map(|item| Found(item).to_string()).collect();
                write!(f, "[{}]", words.join(", ").replace('`', ""))
            }
        }
    }
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
            Value::Ints(numbers) => write!(f, "{numbers:?}"),
            Value::Floats(numbers) => write!(f, "{numbers:?}"),
        }
    }
}
