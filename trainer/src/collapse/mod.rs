//! The watch for collapse: a network that tells nothing apart while its loss looks well.

pub mod judge;
pub mod measure;
