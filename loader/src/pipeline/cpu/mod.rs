//! The engine that every machine has: worker threads, a row of a batch at a time.

mod pool;
mod worker;

pub use pool::Pool;
pub use worker::Worker;
