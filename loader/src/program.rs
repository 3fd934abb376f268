//! The program `loader`: parse, log, run, map to an exit code. Packages for other languages bring it along by calling it.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Command};
use crate::run;

/// Runs the command that `args` name, the program's own name first, and returns the exit code. Arguments that make no sense end the process.
pub fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = Cli::parse_from(args);
    let level = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(level)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .compact()
        // A log that cannot be written is nobody's end; complaining about it would panic.
        .log_internal_errors(false)
        .init();
    let done = run::prepare().and_then(|()| match cli.command {
        Command::Serve(args) => run::serve(args),
        Command::Status(args) => run::status(&args),
        Command::Preview(args) => run::preview(&args),
        Command::Parity(args) => run::parity(&args),
    });
    let Err(failure) = done else { return 0 };
    // The code tells it where standard error does not.
    let _ = writeln!(std::io::stderr(), "{failure}");
    failure.exit_code()
}
