//! The command line, as clap sees it.

use clap::{Parser, Subcommand};

use crate::commands::cat::CatOptions;
use crate::commands::index::options::IndexOptions;
use crate::commands::list::ListOptions;
use crate::commands::pack::options::PackOptions;
use crate::commands::split::SplitOptions;
use crate::commands::stat::StatOptions;
use crate::commands::synth::SynthOptions;
use crate::commands::unpack::UnpackOptions;
use crate::commands::verify::options::VerifyOptions;

/// Packs folders of images into indexed WebDataset tar shards.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 2 usage, 3 data, 4 resources (disk full, folder in use), 75 stopped, goes on when run again.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Pack(PackOptions),
    Index(IndexOptions),
    Synth(SynthOptions),
    List(ListOptions),
    Stat(StatOptions),
    Cat(CatOptions),
    Unpack(UnpackOptions),
    Split(SplitOptions),
    Verify(VerifyOptions),
}
