//! Who is connected. A daemon that programs start for themselves ends with the last of them, however he ends: the kernel closes his socket.
//!
//! It does not know what they are connected for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::shutdown::{Shutdown, Stop};

/// Counts those who are connected.
#[derive(Debug)]
pub struct Users {
    /// `None` once nobody is let in any more.
    num_inside: Mutex<Option<usize>>,
    /// Pulled when the last one leaves, if the daemon is to end then.
    ending: Option<Shutdown>,
}

/// One who is connected, until dropped.
#[derive(Debug)]
pub struct User(Arc<Users>);

impl Users {
    /// Nobody yet. `ending` is pulled when the last one leaves.
    pub fn new(ending: Option<Shutdown>) -> Arc<Users> {
        let num_inside = Mutex::new(Some(0));
        Arc::new(Users { num_inside, ending })
    }

    /// Lets one in; `None` when the daemon has begun to end for lack of users, so that nobody is let into one that ends.
    pub fn enter(self: &Arc<Users>) -> Option<User> {
        *self.num_inside().as_mut()? += 1;
        Some(User(Arc::clone(self)))
    }

    /// Ends the daemon if it is to end without users and there are none.
    pub fn end_if_unused(&self) {
        let mut num_inside = self.num_inside();
        if let (Some(0), Some(shutdown)) = (*num_inside, &self.ending) {
            *num_inside = None;
            shutdown.trigger(Stop::unused());
        }
    }

    fn num_inside(&self) -> MutexGuard<'_, Option<usize>> {
        let locked = self.num_inside.lock();
        locked.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for User {
    fn drop(&mut self) {
        if let Some(num_inside) = self.0.num_inside().as_mut() {
            *num_inside -= 1;
        }
        self.0.end_if_unused();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_to_leave_ends_the_daemon_and_nobody_is_let_in_after_him() {
        let (shutdown, _woken) = Shutdown::new();
        let users = Users::new(Some(shutdown.clone()));
        let (first, second) = (users.enter().unwrap(), users.enter().unwrap());
        drop(first);
        assert!(!shutdown.is_triggered());
        drop(second);
        assert!(shutdown.is_triggered() && users.enter().is_none());
    }

    #[test]
    fn a_daemon_that_was_not_asked_to_end_stays() {
        let users = Users::new(None);
        drop(users.enter());
        users.end_if_unused();
        assert!(users.enter().is_some());
    }
}
