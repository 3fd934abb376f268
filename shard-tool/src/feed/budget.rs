//! How many bytes may be in memory at once.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Lets files in by number, so that the one that is waited for is never kept out by later ones.
#[derive(Debug)]
pub(super) struct Budget {
    max_bytes: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The file whose turn it is.
    next: usize,
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

    /// Waits until all files before `number` were let in and there is room for it, which an empty budget has for any file.
    /// Says no when nobody wants files any more.
    pub(super) fn enter(&self, number: usize, num_bytes: u64) -> bool {
        let may_not_enter = |state: &mut State| {
            let has_room = state.num_bytes == 0 || state.num_bytes + num_bytes <= self.max_bytes;
            !state.is_closed && !(state.next == number && has_room)
        };
        let waited = self.changed.wait_while(self.lock(), may_not_enter);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.next += 1;
        state.num_bytes += num_bytes;
        self.changed.notify_all();
        !state.is_closed
    }

    /// Gives back what a file took.
    pub(super) fn leave(&self, num_bytes: u64) {
        self.lock().num_bytes -= num_bytes;
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
    use std::sync::mpsc::channel;
    use std::thread;

    #[test]
    fn a_file_larger_than_the_budget_is_let_in_alone() {
        let budget = Budget::new(10);
        assert!(budget.enter(0, 25));
        thread::scope(|scope| {
            let (sender, receiver) = channel();
            let budget = &budget;
            scope.spawn(move || sender.send(budget.enter(1, 1)));
            assert!(receiver.try_recv().is_err(), "there is no room");
            budget.leave(25);
            assert_eq!(receiver.recv(), Ok(true));
        });
    }

    #[test]
    fn files_are_let_in_by_number() {
        let budget = Budget::new(10);
        thread::scope(|scope| {
            let (sender, receiver) = channel();
            for number in [2, 1, 0] {
                let (budget, sender) = (&budget, sender.clone());
                scope.spawn(move || {
                    budget.enter(number, 10);
                    sender.send(number).expect("it is received");
                });
            }
            for number in 0..3 {
                assert_eq!(receiver.recv(), Ok(number));
                budget.leave(10);
            }
        });
    }

    #[test]
    fn nobody_waits_for_a_closed_budget() {
        let budget = Budget::new(10);
        drop(budget.closing());
        assert!(!budget.enter(7, 1));
    }
}
