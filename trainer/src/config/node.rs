//! A value as it was written, before the key that holds it is known.

use std::fmt;

use super::literal::{self, Literal};

/// A value as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// A word of a file without quotes: YAML says what it is.
    Plain(String),
    /// An argument of the command line, or a quoted text of a file.
    Text(String),
    /// `[a, b]` or a block sequence of a file.
    List(Vec<Node>),
}

impl Node {
    /// What it is for a key that holds no text. As in yacs, a text that is a literal of Python is that literal.
    pub(super) fn literal(&self) -> Literal {
        let (text, by_yaml) = match self {
            Node::Plain(text) => (text, literal::yaml(text)),
            Node::Text(text) => (text, None),
            Node::List(items) => return Literal::List(items.iter().map(Node::literal).collect()),
        };
        by_yaml
            .or_else(|| literal::python(text))
            .unwrap_or_else(|| Literal::Text(text.clone()))
    }

    /// What it is for a key that holds text: every byte as given, and nothing for `None`.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Node::Plain(text) if literal::yaml(text) == Some(Literal::None) => Some(""),
            Node::Plain(text) | Node::Text(text) if text == "None" => Some(""),
            Node::Plain(text) | Node::Text(text) => Some(text),
            Node::List(_) => None,
        }
    }
}

/// As a message quotes it.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::Plain(text) | Node::Text(text) if text.is_empty() => write!(f, "nothing"),
            Node::Plain(text) | Node::Text(text) => write!(f, "`{text}`"),
            Node::List(items) => {
                let words: Vec<String> = items.iter().map(Node::to_string).collect();
                write!(f, "[{}]", words.join(", ").replace('`', ""))
            }
        }
    }
}
