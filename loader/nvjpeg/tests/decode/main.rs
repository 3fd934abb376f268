//! The decoder on a stand-in of nvJPEG: planes, routes, faults, what is in flight.
#![allow(unsafe_code)]

mod faults;
mod files;
mod flight;
mod harness;
mod memory;
mod planes;
