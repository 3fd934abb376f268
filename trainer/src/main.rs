//! The trainer's binary: parse, run, map to an exit code.
use std::process::ExitCode;

fn main() -> ExitCode {
    trainer::cli::main()
}
