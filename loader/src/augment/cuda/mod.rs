//! Views on a CUDA card, equal to the bit to those of the CPU.
//!
//! [`SOURCE`] holds the kernels, [`Table`] what they are told: a descriptor for each view of a batch. A batch takes one launch of each of [`KERNELS`],
//! whatever it is made of. Nothing here talks to a driver: where the table is copied to and how kernels are launched is the business of an engine.
//!
//! There need not be a card to test them: the crate `host-kernels` compiles the same source with the host's compiler and runs it thread by thread.

mod descriptor;
mod grid;
mod table;

pub use descriptor::View;
pub use grid::{NUM_THREADS, num_blocks};
pub use table::{DeviceImage, KERNELS, Launch, Table};

/// The kernels, for NVRTC.
pub const SOURCE: &str = include_str!("views.cu");

/// What NVRTC must be told beside the architecture, so that the bits are those of the CPU: nothing is contracted, approximated or flushed.
pub const OPTIONS: [&str; 5] = [
    "--std=c++17",
    "--fmad=false",
    "--prec-div=true",
    "--prec-sqrt=true",
    "--ftz=false",
];

#[cfg(test)]
mod tests;
