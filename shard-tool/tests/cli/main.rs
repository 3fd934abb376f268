//! The real binary, run on real folders.

mod harness;
mod look;
mod pack;
mod split;
mod synth;
mod unpack;
mod verify;
