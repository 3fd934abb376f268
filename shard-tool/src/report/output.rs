//! Results on stdout, and all else on stderr. A reader of results that goes away (`| head`) ends the program quietly; that nobody
//! reads the rest ends nothing.

use std::fmt;
use std::io::{self, BufWriter, StdoutLock, Write};

use serde::Serialize;

use crate::error::ToolError;

/// As `eprintln!`, which panics where stderr is closed.
macro_rules! tell {
    ($($line:tt)*) => {
        $crate::report::output::tell_line(format_args!($($line)*))
    };
}
pub(crate) use tell;

pub(crate) fn tell_line(line: fmt::Arguments<'_>) {
    drop(writeln!(io::stderr(), "{line}"));
}

/// Whole lines, for stderr.
pub(crate) fn tell_lines(text: &str) {
    drop(io::stderr().write_all(text.as_bytes()));
}

/// Stdout, buffered.
pub(crate) struct Output {
    inner: BufWriter<StdoutLock<'static>>,
}

/// Lets `write` write to stdout.
///
/// # Errors
/// Those of `write`, and the system's refusal, unless nobody reads any more.
pub(crate) fn print(
    write: impl FnOnce(&mut Output) -> Result<(), ToolError>,
) -> Result<(), ToolError> {
    let mut output = Output {
        inner: BufWriter::with_capacity(1 << 16, io::stdout().lock()),
    };
    match write(&mut output).and_then(|()| output.flush()) {
        Err(error) if error.is_broken_pipe() => Ok(()),
        outcome => outcome,
    }
}

impl Output {
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), ToolError> {
        let written = self.inner.write_all(bytes);
        written.map_err(ToolError::write("stdout"))
    }

    pub(crate) fn line(&mut self, line: &str) -> Result<(), ToolError> {
        self.bytes(line.as_bytes())?;
        self.bytes(b"\n")
    }

    /// What was found, for programs or for people.
    pub(crate) fn either(
        &mut self,
        as_json: bool,
        json: &impl Serialize,
        text: &str,
    ) -> Result<(), ToolError> {
        match as_json {
            true => self.json(json),
            false => self.bytes(text.as_bytes()),
        }
    }

    /// One object on a line of its own.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), ToolError> {
        self.line(&serde_json::to_string(value).expect("strings and numbers only"))
    }

    fn flush(&mut self) -> Result<(), ToolError> {
        self.inner.flush().map_err(ToolError::write("stdout"))
    }
}
