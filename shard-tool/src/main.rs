//! `shard-tool`: turns folders of images into packed sets, indexes shards that are there already, and
//! makes synthetic sets.
//!
//! Results go to stdout, everything else to stderr. This file maps the outcome to an exit code and
//! knows nothing else.

mod cli;
mod error;
mod feed;
mod index;
mod interrupt;
mod journal;
mod pack;
mod plan;
mod progress;
mod report;
mod source;
mod synth;
mod transcode;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let outcome = match cli::Cli::parse().command {
        cli::Command::Pack(options) => pack::run(&options),
        cli::Command::Index(options) => index::run(&options),
        cli::Command::Synth(options) => synth::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = error.exit_code();
            eprintln!("error[{code}]: {error}");
            ExitCode::from(code)
        }
    }
}
