//! Writing to a daemon that is gone ends a process by SIGPIPE, unless it is ignored or blocked. Rust's and Python's programs ignore it; a C
//! program need not, and its choice is not ours to change. So the signal is blocked in the thread that writes, while it writes.
//!
//! One of the rooms of this crate with unsafe code.

use std::mem::MaybeUninit;
use std::ptr;

/// Does `work`, in which a write to a closed pipe or socket is an error and no signal.
pub(crate) fn without<T>(work: impl FnOnce() -> T) -> T {
    let _blocked = Blocked::new();
    work()
}

/// SIGPIPE is blocked in this thread as long as this lives.
struct Blocked {
    before: libc::sigset_t,
    /// One that was waiting before is not ours to take.
    was_pending: bool,
}

impl Blocked {
    fn new() -> Blocked {
        let was_pending = is_pending();
        let mut before = MaybeUninit::uninit();
        // SAFETY: both sets are of this function, the first one initialised.
        #[allow(unsafe_code)]
        let before = unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, &sigpipe(), before.as_mut_ptr());
            before.assume_init()
        };
        Blocked {
            before,
            was_pending,
        }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        let now = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        if !self.was_pending && is_pending() {
            // SAFETY: the set and the time are initialised, and no information about the signal is asked for.
            #[allow(unsafe_code)]
            unsafe {
                libc::sigtimedwait(&sigpipe(), ptr::null_mut(), &now)
            };
        }
        // SAFETY: the mask that this thread had.
        #[allow(unsafe_code)]
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, ptr::null_mut())
        };
    }
}

fn sigpipe() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the first call initialises the set, and SIGPIPE is a signal.
    #[allow(unsafe_code)]
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGPIPE);
        set.assume_init()
    }
}

fn is_pending() -> bool {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the first call initialises the set.
    #[allow(unsafe_code)]
    unsafe {
        libc::sigpending(set.as_mut_ptr());
        libc::sigismember(set.as_ptr(), libc::SIGPIPE) == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, Write};

    #[test]
    fn a_write_to_nobody_is_an_error_and_leaves_no_signal_behind() {
        // SAFETY: as a C program has it; no other test of this crate writes to a closed pipe.
        #[allow(unsafe_code)]
        unsafe {
            libc::signal(libc::SIGPIPE, libc::SIG_DFL)
        };
        for _ in 0..2 {
            let (reader, mut writer) = io::pipe().unwrap();
            drop(reader);
            // Unblocked and not taken, the signal would end this process.
            let written = without(|| writer.write_all(b"hello"));
            assert!(written.is_err());
            assert!(!is_pending());
        }
    }
}
