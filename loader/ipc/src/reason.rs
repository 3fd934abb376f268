//! Why one side will not go on, in a form that travels: a kind for programs, words for people.
//!
//! It knows no exit codes, flags or settings: what a kind means for a process, and which flag helps, is known to programs alone.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What sort of trouble an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// Something was asked for that makes no sense, or not here.
    Usage,
    /// The data are at fault.
    Data,
    /// The machine lacks memory, room, descriptors, threads or permission.
    Resources,
    /// A library does not do its work.
    Library,
    /// The other process is gone, silent, or not what it should be.
    PeerLost,
}

/// A kind, and a sentence of three parts. Parts may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// What sort of trouble it is.
    pub kind: ErrorKind,
    /// What happened.
    pub what: String,
    /// Where.
    pub place: String,
    /// What to do.
    pub remedy: String,
}

impl Reason {
    /// What happened, where, and what to do; what is not known is empty.
    pub fn new(
        kind: ErrorKind,
        what: impl Into<String>,
        place: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Reason {
        Reason {
            kind,
            what: what.into(),
            place: place.into(),
            remedy: remedy.into(),
        }
    }
}

impl std::error::Error for Reason {}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [&self.what, &self.place, &self.remedy];
        let told: Vec<&str> = parts
            .into_iter()
            .map(String::as_str)
            .filter(|part| !part.is_empty())
            .collect();
        f.write_str(&told.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_as_one_sentence_without_its_empty_parts() {
        let what = "too many bad samples";
        let reason = Reason::new(ErrorKind::Data, what, "", "repair them");
        assert_eq!(reason.to_string(), "too many bad samples; repair them");
    }
}
