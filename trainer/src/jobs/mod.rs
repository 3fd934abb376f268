//! What the program can be asked to do: one job, one file. Here is only which one it is.

mod bench;
mod check;
mod configuration;
mod doctor;
mod eval;
mod export;
mod first_weights;
mod import;
mod keys;
mod machine;
mod names;
mod outcome;
mod print_config;
mod report;
mod result;
mod train;

use crate::cli::{Cli, Command};
use crate::failure::Failure;

/// Does what the command line asks for.
///
/// # Errors
/// Every way in which a job can end but by finishing.
pub fn run(cli: &Cli) -> Result<(), Failure> {
    match &cli.command {
        Some(Command::Bench(args)) => bench::run(args),
        Some(Command::Export(args)) => export::run(args),
        Some(Command::Import(args)) => import::run(args),
        Some(Command::Names(args)) => names::run(args),
        Some(Command::Eval(args)) => eval::run(args),
        Some(Command::Report(args)) => report::run(args),
        Some(Command::Doctor) => doctor::run(),
        None if cli.run.keys => keys::run(),
        None => configured(cli),
    }
}

/// The job that a configuration describes.
fn configured(cli: &Cli) -> Result<(), Failure> {
    let raw = configuration::read(&cli.run.config)?;
    if cli.run.check {
        return check::run(&raw);
    }
    if cli.run.print_config {
        return print_config::run(&raw);
    }
    let settings = configuration::runnable(&raw, &cli.run.config)?;
    train::run(&cli.run, &raw, settings)
}
