//! Who is connected. A daemon that programs start for themselves ends with the last of them, however he ends: the kernel closes his socket.
//! One that ends while there are users tells each of them why.
//!
//! It does not know what they are connected for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use loader_ipc::Reason;

use crate::shutdown::{Shutdown, Stop};

/// Those who are connected.
#[derive(Debug)]
pub struct Users {
    inside: Mutex<Inside>,
    /// Pulled when the last one leaves, if the daemon is to end then.
    ending: Option<Shutdown>,
}

/// One who is connected, until dropped.
#[derive(Debug)]
pub struct User {
    number: u64,
    users: Arc<Users>,
}

#[derive(Debug, Default)]
struct Inside {
    /// By number, how each is told of the end, once there is a way.
    farewells: BTreeMap<u64, Option<Farewell>>,
    last_number: u64,
    /// Nobody is let in any more.
    is_shut: bool,
    /// Why the daemon ends, once it does.
    end: Option<Reason>,
}

/// How one is told why the daemon ends.
struct Farewell(Box<dyn FnOnce(Reason) + Send>);

impl Users {
    /// Nobody yet. `ending` is pulled when the last one leaves.
    pub fn new(ending: Option<Shutdown>) -> Arc<Users> {
        let inside = Mutex::default();
        Arc::new(Users { inside, ending })
    }

    /// Lets one in; `None` when the daemon has begun to end for lack of users, so that nobody is let into one that ends.
    pub fn enter(self: &Arc<Users>) -> Option<User> {
        let mut inside = self.inside();
        if inside.is_shut {
            return None;
        }
        inside.last_number += 1;
        let number = inside.last_number;
        inside.farewells.insert(number, None);
        let users = Arc::clone(self);
        Some(User { number, users })
    }

    /// Ends the daemon if it is to end without users and there are none.
    pub fn end_if_unused(&self) {
        let mut inside = self.inside();
        if let (true, Some(shutdown)) = (inside.farewells.is_empty(), &self.ending) {
            inside.is_shut = true;
            shutdown.trigger(Stop::unused());
        }
    }

    /// Tells everyone why the daemon ends, and whoever is let in later as soon as he can be told.
    pub fn end(&self, reason: &Reason) {
        let mut inside = self.inside();
        inside.end = Some(reason.clone());
        let farewells = inside.farewells.values_mut();
        let told: Vec<Farewell> = farewells.filter_map(Option::take).collect();
        drop(inside);
        for Farewell(tell) in told {
            tell(reason.clone());
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        let locked = self.inside.lock();
        locked.unwrap_or_else(PoisonError::into_inner)
    }
}

impl User {
    /// How this one is told why the daemon ends: at once where it does already.
    pub fn at_the_end(&self, tell: impl FnOnce(Reason) + Send + 'static) {
        let mut inside = self.users.inside();
        if let Some(reason) = inside.end.clone() {
            drop(inside);
            return tell(reason);
        }
        let farewell = Farewell(Box::new(tell));
        inside.farewells.insert(self.number, Some(farewell));
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let farewell = self.users.inside().farewells.remove(&self.number);
        drop(farewell);
        self.users.end_if_unused();
    }
}

impl fmt::Debug for Farewell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Farewell")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use loader_ipc::ErrorKind;

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

    #[test]
    fn everyone_inside_is_told_of_the_end_once_and_so_is_who_comes_late() {
        let users = Users::new(None);
        let (told, heard) = mpsc::channel();
        let enter = |name: &'static str| {
            let (user, told) = (users.enter().unwrap(), told.clone());
            user.at_the_end(move |reason| told.send((name, reason.what)).unwrap());
            user
        };
        let (_first, gone) = (enter("first"), enter("gone"));
        let still_greeted = users.enter().unwrap();
        drop(gone);
        let rot = Reason::new(ErrorKind::Data, "rot", "", "");
        users.end(&rot);
        let told_late = told.clone();
        still_greeted.at_the_end(move |reason| told_late.send(("late", reason.what)).unwrap());
        users.end(&rot);
        drop(told);
        let heard: Vec<_> = heard.iter().collect();
        assert_eq!(
            heard,
            [("first", "rot".to_owned()), ("late", "rot".to_owned())]
        );
    }
}
