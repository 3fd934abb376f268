//! The loader's client as a C library: connect, subscribe, take batches, give them back. The functions are in [`calls`], what they exchange
//! in [`types`]; `sslight_loader.h` is made of both by cbindgen, and a test holds it against them.
//!
//! Whoever calls is not trusted to be right: a handle that is stale, of another kind or of another process, a pointer that is NULL and two threads
//! in one stream are errors in words. What it cannot know is whether a pointer leads to memory of the right size.
//!
//! It decides nothing: which daemon answers is the business of `loader-client`, the stream that of `loader-ipc`.

mod batch;
pub mod calls;
mod failure;
mod handle;
mod loader;
mod sigpipe;
mod stream;
mod subscription;
mod table;
pub mod types;
