//! Losses: tensors in, a number and its parts out. They know no network and no optimiser.

pub mod dino;
pub mod info_nce;
pub mod parts;
pub mod sinkhorn;
pub mod swav;
