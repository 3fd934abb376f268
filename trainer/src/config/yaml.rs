//! YAML text to a list of `KEY.SUBKEY` leaves with their places. Knows no key and no type.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::node::Node;
use super::problem::{Origin, Problem};

/// A value and the dotted key it stands under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leaf {
    /// `KEY.SUBKEY`.
    pub key: String,
    /// Where the key stands.
    pub origin: Origin,
    /// The value as written.
    pub node: Node,
}

/// Walks the parser's events; `events` ends with the document.
struct Walker<'a> {
    path: &'a str,
    events: std::vec::IntoIter<(Event<'a>, Span)>,
    /// The lines of all keys so far, sections included.
    seen: HashMap<String, usize>,
    leaves: Vec<Leaf>,
    problems: Vec<Problem>,
}

/// All leaves of a YAML document, in order, and what is wrong with its form.
pub(super) fn leaves(path: &str, text: &str) -> (Vec<Leaf>, Vec<Problem>) {
    let events: Result<Vec<_>, _> = Parser::new_from_str(text).collect();
    let events = match events {
        Ok(events) => events,
        Err(error) => {
            let mark = error.marker();
            let origin = place(path, mark.line(), mark.col());
            let what = format!("not valid YAML: {}", error.info());
            return (Vec::new(), vec![Problem::new(origin, what)]);
        }
    };
    let mut walker = Walker {
        path,
        events: events.into_iter(),
        seen: HashMap::new(),
        leaves: Vec::new(),
        problems: Vec::new(),
    };
    walker.document();
    (walker.leaves, walker.problems)
}

fn place(path: &str, line: usize, column: usize) -> Origin {
    Origin::File {
        path: path.to_owned(),
        line,
        column: column + 1,
    }
}

impl Walker<'_> {
    fn document(&mut self) {
        let mut is_first = true;
        while let Some((event, span)) = self.events.next() {
            match event {
                Event::DocumentStart(_) if !is_first => {
                    let what = "a second document begins here; keep one of them";
                    self.complain(span, what.to_owned());
                    return;
                }
                Event::DocumentStart(_) => is_first = false,
                Event::MappingStart(..) => self.mapping(""),
                Event::Scalar(text, ..) if text.is_empty() => {}
                Event::Scalar(..) | Event::SequenceStart(..) | Event::Alias(_) => {
                    self.complain(span, "expected `KEY: value` lines at the top".to_owned());
                    return;
                }
                _ => {}
            }
        }
    }

    fn mapping(&mut self, prefix: &str) {
        while let Some((event, span)) = self.events.next() {
            let name = match event {
                Event::MappingEnd => return,
                Event::Scalar(text, ..) => text.into_owned(),
                _ => {
                    self.complain(span, "a key must be a plain word".to_owned());
                    return;
                }
            };
            let key = if prefix.is_empty() {
                name
            } else {
                format!("{prefix}.{name}")
            };
            if let Some(line) = self.seen.insert(key.clone(), span.start.line()) {
                let what = format!("{key} is set twice (first in line {line}); keep one");
                self.complain(span, what);
            }
            self.entry(key, span);
        }
    }

    fn entry(&mut self, key: String, span: Span) {
        match self.events.next() {
            Some((Event::MappingStart(..), _)) => self.mapping(&key),
            Some((event, at)) => {
                if let Some(node) = self.node(event, at) {
                    let origin = place(self.path, span.start.line(), span.start.col());
                    self.leaves.push(Leaf { key, origin, node });
                }
            }
            None => {}
        }
    }

    fn node(&mut self, event: Event<'_>, span: Span) -> Option<Node> {
        match event {
            Event::Scalar(_, _, _, Some(_)) | Event::SequenceStart(_, Some(_)) => {
                self.complain(span, "tags (`!name`) are not read; leave it out".to_owned());
                None
            }
            Event::Scalar(text, ScalarStyle::Plain, ..) => Some(Node::Plain(text.into_owned())),
            Event::Scalar(text, ..) => Some(Node::Text(text.into_owned())),
            Event::SequenceStart(..) => Some(self.sequence()),
            _ => {
                let what = "expected a value or a list of values (no aliases)".to_owned();
                self.complain(span, what);
                None
            }
        }
    }

    fn sequence(&mut self) -> Node {
        let mut items = Vec::new();
        while let Some((event, span)) = self.events.next() {
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            items.extend(self.node(event, span));
        }
        Node::List(items)
    }

    fn complain(&mut self, span: Span, what: String) {
        let origin = place(self.path, span.start.line(), span.start.col());
        self.problems.push(Problem::new(origin, what));
    }
}
