//! Losses: tensors in, one number out. They know no network and no optimiser.

pub mod dino;
pub mod parts;
