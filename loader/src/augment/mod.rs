//! From a decoded image to its views.
//!
//! [`draw`](fn@draw) turns a [`ViewKey`] into [`ViewParams`], a pure function: nothing but the key, the recipe's [`ViewSpec`] and the image's
//! size can change a view. [`CpuAugmenter`] applies parameters and draws nothing; so does [`cuda`]. Neither knows about shards, batches or
//! subscribers. Any thread may draw; each augmenter belongs to one thread.
//!
//! [`ViewSpec`]: loader_ipc::recipe::ViewSpec

mod cpu;
pub mod cuda;
mod draw;
mod extended_box;
mod params;
mod philox;
mod taps;

pub use cpu::CpuAugmenter;
pub use draw::{ViewKey, draw};
pub use params::{Jitter, JitterOp, Rect, ViewParams};
