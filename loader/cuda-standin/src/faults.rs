//! Calls that are to fail, and the log of all calls.

use std::collections::BTreeMap;
use std::env;
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::status::{HANGS, Status};

/// Exports calls: each is counted, fails if it is to, and else does what its body says, whose error is the status.
macro_rules! calls {
    ($usual:ident: $(fn $name:ident($($argument:ident: $kind:ty),* $(,)?) $body:block)*) => {$(
        #[unsafe(no_mangle)]
        // Some bodies do nothing that is unsafe.
        #[allow(unused_unsafe)]
        unsafe extern "C" fn $name($($argument: $kind),*) -> $crate::status::Status {
            if let Some(status) = $crate::faults::called(stringify!($name), $usual) {
                return status;
            }
            // SAFETY: pointers are what NVIDIA's documentation says, as the caller promises.
            let done = || -> Result<(), $crate::status::Status> { unsafe { $body } };
            $crate::faults::told(done())
        }
    )*};
}

/// Which calls fail.
#[derive(Debug, PartialEq, Eq)]
struct Fault {
    name: String,
    first: u64,
    and_later: bool,
    status: Option<u32>,
}

static COUNTS: Mutex<BTreeMap<&'static str, u64>> = Mutex::new(BTreeMap::new());

/// Counts a call; gives the status that it is to fail with.
pub(crate) fn called(name: &'static str, usual: u32) -> Option<u32> {
    let mut counts = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    let count = counts.entry(name).or_default();
    *count += 1;
    if let Some(path) = env::var_os("STANDIN_LOG") {
        let file = OpenOptions::new().append(true).create(true).open(path);
        // One write a line, so that lines of several threads do not mix.
        let written = file.and_then(|mut file| file.write_all(format!("{name}\n").as_bytes()));
        written.expect("the log can be written");
    }
    let fault = env::var("STANDIN_FAIL").ok()?;
    let fault = parsed(&fault).expect("STANDIN_FAIL is NAME:N, NAME:N+ or one of them and :STATUS");
    let fails =
        fault.name == name && (*count == fault.first || (fault.and_later && *count > fault.first));
    fails.then(|| fault.status.unwrap_or(usual))
}

/// What a call answers, if it does.
pub(crate) fn told(done: Result<(), Status>) -> Status {
    match done {
        Ok(()) => 0,
        Err(HANGS) => loop {
            thread::park();
        },
        Err(status) => status,
    }
}

fn parsed(text: &str) -> Option<Fault> {
    let mut parts = text.split(':');
    let name = parts.next()?.to_owned();
    let number = parts.next()?;
    let first = number.trim_end_matches('+').parse().ok()?;
    let status = parts.next().map(str::parse).transpose().ok()?;
    let and_later = number.ends_with('+');
    parts.next().is_none().then_some(Fault {
        name,
        first,
        and_later,
        status,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_a_name_a_number_and_perhaps_a_status() {
        let fault = |first, and_later, status| {
            let name = "cuInit".to_owned();
            Some(Fault {
                name,
                first,
                and_later,
                status,
            })
        };
        assert_eq!(parsed("cuInit:2"), fault(2, false, None));
        assert_eq!(parsed("cuInit:1+:700"), fault(1, true, Some(700)));
        for broken in ["", "cuInit", "cuInit:x", "cuInit:1:y", "cuInit:1:2:3"] {
            assert_eq!(parsed(broken), None, "{broken}");
        }
    }
}
