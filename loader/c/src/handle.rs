//! What a handle says of itself: of which process and of which kind it is. So a wrong one is known without looking anything up.
//!
//! Bits 0 to 1 are the kind, 2 to 41 a number that counts up, 42 to 63 the process id (Linux gives none above 2^22).

use std::sync::atomic::{AtomicU64, Ordering};

use crate::failure::Failure;
use crate::types::SslightHandle;

const KIND_BITS: u32 = 2;
const PID_SHIFT: u32 = 42;

static NEXT: AtomicU64 = AtomicU64::new(1);

/// What a handle stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Loader = 1,
    Stream = 2,
    Batch = 3,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Loader => "a loader",
            Kind::Stream => "a stream",
            Kind::Batch => "a batch",
        }
    }
}

/// A handle that no other thing has, in this process or in one that forked it or that it forks.
pub(crate) fn new(kind: Kind) -> SslightHandle {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    // At ten thousand batches a second they last for three years.
    assert!(number < 1 << (PID_SHIFT - KIND_BITS), "no handle is left");
    u64::from(std::process::id()) << PID_SHIFT | number << KIND_BITS | kind as u64
}

/// Of which kind it is.
pub(crate) fn kind(handle: SslightHandle) -> Result<Kind, Failure> {
    let kinds = [Kind::Loader, Kind::Stream, Kind::Batch];
    let said = handle & ((1 << KIND_BITS) - 1);
    let found = kinds.into_iter().find(|kind| *kind as u64 == said);
    found.ok_or_else(|| Failure::usage(format!("{handle:#x} is no handle")))
}

/// Refuses a handle of another kind or process.
pub(crate) fn check(handle: SslightHandle, wanted: Kind) -> Result<(), Failure> {
    let found = kind(handle)?;
    if found != wanted {
        let (found, wanted) = (found.name(), wanted.name());
        return Err(Failure::usage(format!(
            "{handle:#x} is the handle of {found} where {wanted} was due"
        )));
    }
    match is_ours(handle) {
        true => Ok(()),
        false => Err(Failure::usage(format!(
            "{handle:#x} is a handle of process {}, and this is {}; connect again after a fork",
            pid(handle),
            std::process::id()
        ))),
    }
}

/// Whether this process made it.
pub(crate) fn is_ours(handle: SslightHandle) -> bool {
    pid(handle) == std::process::id()
}

/// What to say of a handle that stands for nothing any more.
pub(crate) fn stale(handle: SslightHandle) -> Failure {
    let was = kind(handle).map_or("nothing", Kind::name);
    Failure::usage(format!("{handle:#x} was {was} and is released"))
}

fn pid(handle: SslightHandle) -> u32 {
    (handle >> PID_SHIFT) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_refused_for_another_kind_and_in_another_process() {
        let (one, other) = (new(Kind::Stream), new(Kind::Stream));
        assert_ne!(one, other);
        assert!(check(one, Kind::Stream).is_ok());
        let told = |handle, wanted| check(handle, wanted).unwrap_err().words;
        let wrong = told(one, Kind::Batch);
        assert!(wrong.contains("a stream where a batch was due"), "{wrong}");
        let foreign = told(one ^ 1 << PID_SHIFT, Kind::Stream);
        assert!(foreign.contains("connect again after a fork"), "{foreign}");
        assert!(told(0, Kind::Loader).contains("0x0 is no handle"));
    }

    #[test]
    fn a_handle_holds_the_largest_process_id_and_number() {
        let largest = (1 << 22) - 1_u64;
        assert_eq!(pid(largest << PID_SHIFT), largest as u32);
        assert_eq!(u64::from(pid(u64::MAX)), largest);
    }
}
