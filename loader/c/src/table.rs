//! What the handles stand for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use crate::failure::Failure;
use crate::handle::{self, Kind};
use crate::types::SslightHandle;

/// Everything of one kind.
pub(crate) struct Table<T> {
    kind: Kind,
    things: Mutex<Things<T>>,
}

type Things<T> = BTreeMap<SslightHandle, Arc<T>>;

impl<T> Table<T> {
    pub(crate) const fn new(kind: Kind) -> Table<T> {
        Table {
            kind,
            things: Mutex::new(BTreeMap::new()),
        }
    }

    /// Keeps `thing` until its handle is released.
    pub(crate) fn keep(&self, thing: T) -> (SslightHandle, Arc<T>) {
        let (handle, thing) = (handle::new(self.kind), Arc::new(thing));
        self.things().insert(handle, Arc::clone(&thing));
        (handle, thing)
    }

    pub(crate) fn get(&self, handle: SslightHandle) -> Result<Arc<T>, Failure> {
        handle::check(handle, self.kind)?;
        let found = self.things().get(&handle).cloned();
        found.ok_or_else(|| handle::stale(handle))
    }

    /// Lets go of it; whoever uses it in another thread does so until he is done. In a forked process this lets go of its share.
    pub(crate) fn release(&self, handle: SslightHandle) -> Result<(), Failure> {
        let mut things = match handle::is_ours(handle) {
            true => self.things(),
            false => self.inherited()?,
        };
        let found = things.remove(&handle);
        // What ends with it may take its time.
        drop(things);
        found.map(drop).ok_or_else(|| handle::stale(handle))
    }

    fn things(&self) -> MutexGuard<'_, Things<T>> {
        self.things.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread that was inside when this process was forked is not here to leave.
    fn inherited(&self) -> Result<MutexGuard<'_, Things<T>>, Failure> {
        match self.things.try_lock() {
            Ok(things) => Ok(things),
            Err(TryLockError::Poisoned(things)) => Ok(things.into_inner()),
            Err(TryLockError::WouldBlock) => Err(Failure::usage(
                "this process was forked while another thread was in this library; let the child call exec, or fork before threads start",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_that_was_released_stands_for_nothing() {
        static TABLE: Table<i32> = Table::new(Kind::Stream);
        let (handle, _) = TABLE.keep(7);
        assert_eq!(*TABLE.get(handle).unwrap(), 7);
        TABLE.release(handle).unwrap();
        for told in [TABLE.get(handle).map(drop), TABLE.release(handle)] {
            let words = told.unwrap_err().words;
            assert!(words.contains("was a stream and is released"), "{words}");
        }
    }
}
