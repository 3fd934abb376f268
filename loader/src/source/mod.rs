//! Which samples there are, and in which order they are served.

pub mod order;
pub mod plan;
mod samples;
mod selection;
mod shards;

pub use plan::{Plan, Rows};
pub use samples::Samples;
pub use selection::Selection;
pub use shards::Shards;
