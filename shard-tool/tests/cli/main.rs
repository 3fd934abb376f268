//! The real binary, run on real folders.

mod archives;
mod folders;
mod full_disk;
mod harness;
mod index;
mod index_changed;
mod index_damage;
mod interop;
mod limits;
mod lists;
mod look;
mod pack;
mod restart;
mod sources;
mod split;
mod synth;
mod transcode;
mod unpack;
mod verify;
