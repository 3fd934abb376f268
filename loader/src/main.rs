//! `loader`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(loader::program::main(std::env::args_os()))
}
