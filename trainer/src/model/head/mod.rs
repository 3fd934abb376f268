//! Projection heads: from a backbone's features to what a loss compares.

pub mod dino;
pub mod moco;
pub mod swav;
