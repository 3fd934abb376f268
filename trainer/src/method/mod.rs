//! Self-supervised methods: what happens to a batch of views in one training step.

pub mod dino;
