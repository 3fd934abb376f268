//! Whole-system tests: the real binaries, real sockets, kill -9.

mod bad_input;
mod c_library;
#[cfg(feature = "cuda")]
mod card;
#[cfg(feature = "cuda")]
mod card_faults;
#[cfg(feature = "cuda")]
mod card_hangs;
#[cfg(feature = "cuda")]
mod card_memory;
#[cfg(feature = "cuda")]
mod card_memory_faults;
#[cfg(feature = "cuda")]
mod card_missing;
mod chain;
mod circles;
mod clients;
mod compressed;
mod cut_shards;
mod edges;
mod engine;
mod evaluations;
mod folders;
mod harness;
mod killed;
mod limits;
mod quickstart;
#[cfg(feature = "cuda")]
mod real_card;
mod recipes;
mod subsets;
mod trainer_checkpoints;
mod trainer_ends;
mod trainer_library;
mod trainer_limits;
mod trainer_output;
mod trainer_refusals;
mod trainer_report;
mod trainer_watch;
mod trainer_weights;
mod views;
