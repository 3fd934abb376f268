//! `loader`: parse, log, run, map to an exit code.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use loader::cli::{Cli, Command};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
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
    let done = loader::run::prepare().and_then(|()| match cli.command {
        Command::Serve(args) => loader::run::serve(args),
        Command::Status(args) => loader::run::status(&args),
        Command::Preview(args) => loader::run::preview(&args),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // The code tells it where standard error does not.
            let _ = writeln!(std::io::stderr(), "{failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}
