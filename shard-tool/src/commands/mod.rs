//! The commands, each with its options.

pub(crate) mod cat;
pub(crate) mod index;
pub(crate) mod list;
mod out_folder;
pub(crate) mod pack;
mod set;
pub(crate) mod split;
pub(crate) mod stat;
pub(crate) mod synth;
pub(crate) mod unpack;
mod values;
pub(crate) mod verify;
