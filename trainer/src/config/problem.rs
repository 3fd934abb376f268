//! What can be wrong with a configuration, and how it is said.

use std::fmt;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The key was not set.
    Default,
    /// A place in the configuration file; line and column count from 1.
    File {
        /// Path as given.
        path: String,
        /// Line.
        line: usize,
        /// Column.
        column: usize,
    },
    /// A `KEY VALUE` pair of the command line.
    CommandLine,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub origin: Origin,
    /// What is wrong and what to do.
    pub what: String,
}

/// Everything that is wrong; exit code 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// At least one problem, in the order of discovery.
    pub problems: Vec<Problem>,
}

impl Problem {
    /// A problem at a place.
    pub fn new(origin: Origin, what: impl Into<String>) -> Problem {
        Problem {
            origin,
            what: what.into(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => write!(f, "default"),
            Origin::File { path, line, column } => write!(f, "{path}:{line}:{column}"),
            Origin::CommandLine => write!(f, "command line"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.what)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.problems.len() == 1 {
            "problem"
        } else {
            "problems"
        };
        write!(f, "{} {noun} in the configuration", self.problems.len())?;
        for problem in &self.problems {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
