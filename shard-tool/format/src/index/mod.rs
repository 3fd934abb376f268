//! The index of one shard: its layout, written from entries in memory, read from a mapping.

mod builder;
mod entry;
mod mapped;
#[cfg(test)]
mod tests;

pub use builder::IndexBuilder;
pub use entry::{ENTRY_BYTES, Entry, HEADER_BYTES, UNLABELLED, VERSION};
pub(crate) use entry::{MAGIC, byte_range};
pub use mapped::Index;
pub(crate) use mapped::inconsistent;
