//! The real binary, run on real folders.

mod harness;
mod look;
mod pack;
mod synth;
mod verify;
