//! Takes the place of `libcuda.so.1` and `libnvrtc.so.13` in tests, so that all of the loader that talks to a card runs where there is none. A folder that holds
//! this library under both names, named by `LD_LIBRARY_PATH`, is all that a program needs.
//!
//! Memory of the card is memory of the host, and kernels are those of `host-kernels`. It wishes its user ill:
//!
//! - Work is done as late as events and waits allow, one stream without regard to another, so a missing fence is seen as wrong bytes. `STANDIN_ORDER` says otherwise:
//!   `early` does everything at once, a number draws who comes when.
//! - Memory holds garbage when it is taken. What was given back, and what lies behind it, cannot be touched: that ends the process with a line.
//!   So does giving back what a copy is on its way to.
//! - `STANDIN_FAIL=cuLaunchKernel:3` lets the third call of that name fail, `:3+` that and all later ones, `:3:700` with that status.
//! - What a real driver refuses ends the process with a line, too: sizes, flags and properties (`asked`).
//! - `STANDIN_HANG=5` is a card that hangs: the fifth copy, fill or launch and all later ones are never done, nor is what comes after them on their streams.
//!   Questions are answered (not ready), and who waits, or gives memory back that the driver would wait for, waits for ever.
//! - `STANDIN_MEMORY=1000000` is all the memory that a card has, in bytes. `STANDIN_DEVICES=0` hides the card, 2 is two of them, `STANDIN_DRIVER=12040` is an old driver.
//! - `STANDIN_USED=FILE` gets the bytes that are taken of the card, whenever that changes.
//! - `STANDIN_EXPORTS=0` is a driver that shares no memory between processes. Where it does, all processes with this library have the same card.
//! - `STANDIN_LOG=FILE` gets the name of every call, a line each.
//!
//! It says nothing about speed, and it knows nothing of the loader but its kernels.
#![allow(unsafe_code, non_snake_case)]

#[macro_use]
mod faults;
mod asked;
mod driver;
mod memory;
mod nvrtc;
mod shared;
mod status;
mod streams;
mod world;
