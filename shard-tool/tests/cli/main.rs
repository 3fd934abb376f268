//! The real binary, run on real folders.

mod harness;
mod index;
mod index_damage;
mod pack;
mod synth;
