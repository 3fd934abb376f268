//! The real binary, run on real folders.

mod harness;
mod pack;
mod restart;
mod sources;
mod synth;
