//! The trainer's binary: parse, run, map to an exit code.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

use std::process::ExitCode;

fn main() -> ExitCode {
    trainer::cli::main()
}
