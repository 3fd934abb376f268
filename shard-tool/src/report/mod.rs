//! What people and programs are told: results on stdout, everything else on stderr.

pub(crate) mod counts;
pub(crate) mod output;
pub(crate) mod progress;
pub(crate) mod statistics;
pub(crate) mod summary;
