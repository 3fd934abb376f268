//! Which samples there are, and in which order they are served.

pub mod order;
pub mod plan;
mod shards;

pub use plan::{Plan, Rows};
pub use shards::{Shards, kind};
