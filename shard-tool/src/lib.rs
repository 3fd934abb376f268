//! `shard-tool`: turns images into packed sets, indexes shards that are there already, looks into sets, checks them, and makes
//! synthetic ones.
//!
//! The way of an image: `source` finds it, `packing` plans where it goes and writes it, `commands` take what is asked for, and
//! `report` tells what came of it. This file maps the outcome to an exit code and knows nothing else. It is a library so that packages for
//! other languages bring the program along.

#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

mod cli;
mod commands;
mod error;
mod packing;
mod report;
mod source;
mod system;

use std::ffi::OsString;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::commands::{cat, index, list, pack, split, stat, synth, unpack, verify};
use crate::error::ToolError;
use crate::report::output::{tell, tell_lines};

/// Runs the command that `args` name, the program's own name first. What goes wrong is told and ends the process with its exit code.
pub fn main(args: impl IntoIterator<Item = OsString>) {
    let cli = Cli::try_parse_from(args).unwrap_or_else(|error| {
        if !error.use_stderr() {
            error.exit();
        }
        let told = error.to_string();
        let told = told.strip_prefix("error: ").unwrap_or(&told);
        tell_lines(&format!("error[2]: {told}"));
        std::process::exit(2);
    });
    // Where one is refused, the system ends the process without words.
    let _ = signals::outlive_file_size_limit();
    let _ = signals::on_lost_bytes(|| {
        let what = "a file was cut short while it was read, or its disk failed";
        let place = "an archive or shard of this command";
        let remedy = "leave it alone and run the command again";
        end(&ToolError::data(what, place, remedy));
    });
    let outcome = match cli.command {
        Command::Pack(options) => pack::run(&options),
        Command::Index(options) => index::run(&options),
        Command::Synth(options) => synth::run(&options),
        Command::List(options) => list::run(&options),
        Command::Stat(options) => stat::run(&options),
        Command::Cat(options) => cat::run(&options),
        Command::Unpack(options) => unpack::run(&options),
        Command::Split(options) => split::run(&options),
        Command::Verify(options) => verify::run(&options),
    };
    if let Err(error) = outcome {
        end(&error);
    }
}

fn end(error: &ToolError) -> ! {
    let code = error.exit_code();
    tell!("error[{code}]: {error}");
    std::process::exit(code.into());
}
