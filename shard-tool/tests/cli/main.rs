//! The real binary, run on real folders.

mod harness;
mod pack;
mod synth;
