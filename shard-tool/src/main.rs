//! `shard-tool`: turns images into packed sets, indexes shards that are there already, looks into sets, checks them, and makes
//! synthetic ones.
//!
//! Results go to stdout, everything else to stderr. This file maps the outcome to an exit code and
//! knows nothing else.

#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

mod alike;
mod behind;
mod cat;
mod cli;
mod disk;
mod error;
mod feed;
mod index;
mod interrupt;
mod journal;
mod jpeg;
mod list;
mod near;
mod order;
mod out_folder;
mod output;
mod pack;
mod plan;
mod progress;
mod report;
mod set;
mod source;
mod spill;
mod split;
mod stat;
mod synth;
mod tally;
mod threads;
mod transcode;
mod unpack;
mod usage;
mod verify;

use crate::output::tell;
use std::process::ExitCode;

fn main() -> ExitCode {
    let outcome = match usage::parse().command {
        cli::Command::Pack(options) => pack::run(&options),
        cli::Command::Index(options) => index::run(&options),
        cli::Command::Synth(options) => synth::run(&options),
        cli::Command::List(options) => list::run(&options),
        cli::Command::Stat(options) => stat::run(&options),
        cli::Command::Cat(options) => cat::run(&options),
        cli::Command::Unpack(options) => unpack::run(&options),
        cli::Command::Split(options) => split::run(&options),
        cli::Command::Verify(options) => verify::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = error.exit_code();
            tell!("error[{code}]: {error}");
            ExitCode::from(code)
        }
    }
}
