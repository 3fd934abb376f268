//! What tch does not bind of libtorch: operations over lists of tensors, copies that nobody waits for, recorded work, and who has a card's memory.
//!
//! It knows no network, no names and no schedule. Like tch's own operations, these panic with libtorch's words where it refuses.

#![allow(unsafe_code)]

mod error;
pub mod foreach;
pub mod graph;
pub mod memory;
pub mod transfer;
