//! Sets written and read back: by this crate, by other readers, and after files were damaged.

mod compressed;
mod damage;
mod harness;
mod interrupted;
mod other_readers;
mod round_trip;
