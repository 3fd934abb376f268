//! Views that lie in memory of an NVIDIA card, for the daemon that makes them and for programs that read them there.
//!
//! The daemon takes memory that its driver can export ([`ExportedMemory`]) and passes the descriptor as it passes those of the shared segments; a subscriber
//! maps it ([`Reader`]). A descriptor, unlike a handle of CUDA's own interprocess memory, needs neither a common process namespace nor a parent, works on
//! instances of a card (MIG), and keeps the memory alive as long as anybody maps it: whoever is killed takes nothing away from the other.
//!
//! # Fences
//!
//! A slot is published once the card has written all of it, so whoever receives a batch may read it on any stream at once. A slot is filled anew only once the card has read it:
//! when a [`CardLease`] is dropped, an event is recorded on each stream that reads, and [`Reader::receive`] gives the slot back once they are passed. It waits for none of them by
//! itself. Only where nobody said which streams read is it an event of all that the card has to do by then.
//!
//! Every wait has an end: that for a batch is the caller's, and any other is that of [`patience`](patience()). What a card that hangs may yet read or write is kept.
//!
//! It does not know what views are, and links to nothing of CUDA: the driver is loaded when it is first asked for, and a machine without one learns so.

mod driver;
mod error;
mod fence;
mod mapping;
mod patience;
mod reader;
mod views;

pub use driver::{card_of_device, context_of, device_of, id_of_context};
pub use error::{CardError, failed};
pub use mapping::ExportedMemory;
pub use patience::{check_answers, hangs, patience, wait, wait_for_all};
pub use reader::{Held, Reader};
pub use views::CardLease;
