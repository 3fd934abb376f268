//! The real binary, run on real folders.

mod harness;
mod index;
mod index_changed;
mod index_damage;
mod interop;
mod look;
mod pack;
mod restart;
mod sources;
mod split;
mod synth;
mod unpack;
mod verify;
