//! Reads one split of a packed set.
//!
//! Opening it reads the manifest, and of each shard the header of its index; both files are mapped, so that bytes are read from the
//! disk when somebody asks for them. Hence memory does not grow with the number of samples. The system grants a process 65,530
//! mappings by default, of which each shard takes two.
//!
//! Checksums of images are compared only when [`Sample::check`] is called.

mod cut;
mod sample;
mod set;
mod shard;

pub use cut::CutShard;
pub use sample::Sample;
pub use set::ShardSet;
pub use shard::ReadOptions;
