//! The trainer itself, which the binary `trainer` starts: parse, run, map to an exit code.

#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::process::ExitCode;

use clap::Parser;
use trainer::cli::Cli;
use trainer::failure::{self, EXIT_STOPPED, Failure};
use trainer::{jobs, output};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let usual = take_hook();
    set_hook(Box::new(move |panic| {
        // The error tells it all.
        if failure::no_memory(panic.payload()).is_none() {
            usual(panic);
        }
    }));
    let ended = catch_unwind(AssertUnwindSafe(|| jobs::run(&cli)));
    match ended.unwrap_or_else(|panic| Err(Failure::of_panic(panic))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => ended_by(&failure),
    }
}

fn ended_by(failure: &Failure) -> ExitCode {
    let code = failure.exit_code();
    if code == EXIT_STOPPED {
        output::tell_line(format_args!("{failure}"));
    } else {
        let advice = Cli::advice(failure);
        output::tell_line(format_args!("error[{code}]: {failure}{advice}"));
    }
    ExitCode::from(code as u8)
}
