//! From a sample id to a finished row of a slot, on a pool of worker threads that all streams share.

mod pool;
mod worker;

pub use pool::Pool;
pub use worker::{Job, StreamContext, Worker};
