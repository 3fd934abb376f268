//! What commands ask of the system: room, threads, memory, signals.

pub(crate) mod disk;
pub(crate) mod drop_behind;
pub(crate) mod interrupt;
pub(crate) mod threads;
