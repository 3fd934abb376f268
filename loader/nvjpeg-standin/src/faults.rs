//! Which call is to fail, and how often each was made.
//!
//! `STANDIN_FAIL=name:n[:status]` makes the `n`-th call of an entry point fail, once, with status 6 unless another is given; `name:n+[:status]` that and all
//! later ones. Every call is a line of the file that `STANDIN_LOG` names. A test may change the plan with `nvjpeg_standin_fail`, which counts anew.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::status::EXECUTION_FAILED;

struct Plan {
    fault: Option<Fault>,
    calls: BTreeMap<&'static str, u64>,
}

struct Fault {
    name: String,
    nth: u64,
    and_later: bool,
    status: u32,
}

static PLAN: LazyLock<Mutex<Plan>> = LazyLock::new(|| {
    let named = std::env::var("STANDIN_FAIL").unwrap_or_default();
    Mutex::new(Plan::of(&named))
});

impl Plan {
    fn of(named: &str) -> Self {
        Self {
            fault: Fault::parse(named),
            calls: BTreeMap::new(),
        }
    }
}

impl Fault {
    fn is_at(&self, nth: u64) -> bool {
        nth == self.nth || self.and_later && nth > self.nth
    }

    /// A fault of another stand-in is none of this one.
    fn parse(named: &str) -> Option<Self> {
        let mut parts = named.split(':');
        let name = parts.next()?.to_owned();
        let number = parts.next()?;
        let nth = number.trim_end_matches('+').parse().ok()?;
        let status = parts
            .next()
            .map_or(Some(EXECUTION_FAILED), |code| code.parse().ok())?;
        Some(Self {
            name,
            nth,
            and_later: number.ends_with('+'),
            status,
        })
    }
}

fn plan() -> MutexGuard<'static, Plan> {
    PLAN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a call.
///
/// # Errors
/// The status with which it is to fail.
pub(crate) fn enter(name: &'static str) -> Result<(), u32> {
    let mut plan = plan();
    let calls = plan.calls.entry(name).or_default();
    *calls += 1;
    let nth = *calls;
    log(name);
    match &plan.fault {
        Some(fault) if fault.name == name && fault.is_at(nth) => Err(fault.status),
        _ => Ok(()),
    }
}

/// One write a line, so that lines of several threads and stand-ins do not mix.
fn log(name: &str) {
    if let Some(path) = std::env::var_os("STANDIN_LOG") {
        let file = OpenOptions::new().append(true).create(true).open(path);
        let written = file.and_then(|mut file| file.write_all(format!("{name}\n").as_bytes()));
        written.expect("the log can be written");
    }
}

/// Takes another plan, and counts anew.
pub(crate) fn replace(named: &str) {
    *plan() = Plan::of(named);
}

/// Calls of an entry point since the plan was made.
pub(crate) fn num_calls(name: &str) -> u64 {
    plan().calls.get(name).copied().unwrap_or(0)
}
