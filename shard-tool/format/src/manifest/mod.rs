//! The manifest: what a packed set consists of. Read once, checked for contradictions, then trusted
//! for names and sizes; digests are for whoever wants to compare whole files.

mod absence;
mod contradictions;
mod in_place;
mod load;
mod schema;
mod seal;
#[cfg(test)]
mod tests;

pub use in_place::{IndexedInPlace, modified_ns};
pub use schema::{Manifest, ShardManifest, SplitManifest};
