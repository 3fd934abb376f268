//! How many bytes may be in memory at once.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Lets files in while there is room for them, and always the one that the consumer waits for.
#[derive(Debug)]
pub(super) struct Budget {
    max_bytes: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The file that is consumed next.
    awaited: usize,
    num_bytes: u64,
    is_closed: bool,
}

impl Budget {
    pub(super) fn new(max_bytes: u64) -> Self {
        Self {
            max_bytes,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Lets file `number` in, if it does not have to wait.
    pub(super) fn has_let_in(&self, number: usize, num_bytes: u64) -> bool {
        let mut state = self.lock();
        let is_let_in = !self.must_wait(&state, number, num_bytes);
        if is_let_in {
            state.num_bytes += num_bytes;
        }
        is_let_in
    }

    /// Waits until there is room for file `number`, or until it is waited for. Says no when nobody wants files any more.
    pub(super) fn enter(&self, number: usize, num_bytes: u64) -> bool {
        let must_wait = |state: &mut State| self.must_wait(state, number, num_bytes);
        let waited = self.changed.wait_while(self.lock(), must_wait);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.num_bytes += num_bytes;
        !state.is_closed
    }

    fn must_wait(&self, state: &State, number: usize, num_bytes: u64) -> bool {
        let has_room = state.num_bytes + num_bytes <= self.max_bytes;
        !state.is_closed && state.awaited != number && !has_room
    }

    /// The next files were consumed, which took so many bytes together.
    pub(super) fn leave(&self, num_files: usize, num_bytes: u64) {
        let mut state = self.lock();
        state.num_bytes -= num_bytes;
        state.awaited += num_files;
        self.changed.notify_all();
    }

    /// Ends all waiting when what it returns is dropped.
    pub(super) fn closing(&self) -> impl Drop + '_ {
        Closing(self)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Closing<'a>(&'a Budget);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.lock().is_closed = true;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, channel};
    use std::thread;

    /// What `enter` says, from a thread that may have to wait for it.
    fn enter_later<'s>(
        scope: &'s thread::Scope<'s, '_>,
        budget: &'s Budget,
        number: usize,
    ) -> Receiver<bool> {
        let (sender, receiver) = channel();
        scope.spawn(move || sender.send(budget.enter(number, 6)));
        receiver
    }

    #[test]
    fn a_file_waits_for_room() {
        let budget = Budget::new(10);
        assert!(budget.has_let_in(0, 6));
        assert!(!budget.has_let_in(2, 6));
        thread::scope(|scope| {
            let entered = enter_later(scope, &budget, 2);
            assert!(entered.try_recv().is_err(), "there is no room");
            budget.leave(1, 6);
            assert_eq!(entered.recv(), Ok(true));
        });
    }

    #[test]
    fn the_awaited_file_is_let_in_though_later_ones_took_all_room() {
        let budget = Budget::new(10);
        assert!(budget.enter(1, 10));
        assert!(budget.enter(0, 25));
        budget.leave(1, 25);
        thread::scope(|scope| {
            let entered = enter_later(scope, &budget, 2);
            budget.leave(1, 10);
            assert_eq!(entered.recv(), Ok(true));
        });
    }

    #[test]
    fn nobody_waits_for_a_closed_budget() {
        let budget = Budget::new(10);
        drop(budget.closing());
        assert!(budget.has_let_in(7, 11) && !budget.enter(8, 11));
    }
}
