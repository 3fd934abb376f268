//! Samples that cannot be used: counted by cause, named once, and limited by a budget.
//!
//! Every worker thread reports here. A sample counts once however often it comes by.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use loader_ipc::{ErrorKind, FailureCount, Reason};

/// How many bad samples a split may have however small it is (one bad file must not stop a small set), unless none are allowed.
const MIN_BUDGET: u64 = 8;
/// Bad samples named when the budget is spent.
const NUM_NAMED: usize = 10;

/// The bad samples seen since the daemon started.
#[derive(Debug)]
pub struct Failures {
    max_fraction: f64,
    seen: Mutex<BTreeMap<(String, u64), Bad>>,
    recovered: Mutex<BTreeMap<(String, u64), ()>>,
}

#[derive(Debug)]
struct Bad {
    cause: &'static str,
    place: String,
}

/// One bad sample.
#[derive(Debug, Clone)]
pub struct BadSample<'a> {
    /// Split it belongs to.
    pub split: &'a str,
    /// Its id within the split.
    pub id: u64,
    /// Samples in the split.
    pub num_samples: u64,
    /// The cause in a word.
    pub cause: &'static str,
    /// Shard, key and offset.
    pub place: String,
}

/// What a report led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Known already.
    Known,
    /// New, and within the budget.
    New,
    /// The budget of the split is spent; the reason names the first samples.
    OverBudget(Reason),
}

impl Failures {
    /// A budget of `max_fraction` of each split's samples, and at least 8; a fraction of 0 allows none.
    pub fn new(max_fraction: f64) -> Failures {
        Failures {
            max_fraction,
            seen: Mutex::default(),
            recovered: Mutex::default(),
        }
    }

    /// Takes note of a bad sample.
    pub fn report(&self, bad: BadSample<'_>) -> Verdict {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (bad.split.to_owned(), bad.id);
        if seen.contains_key(&key) {
            return Verdict::Known;
        }
        seen.insert(
            key,
            Bad {
                cause: bad.cause,
                place: bad.place,
            },
        );
        let of_split = || seen.iter().filter(|((split, _), _)| split == bad.split);
        let (count, budget) = (of_split().count() as u64, self.budget(bad.num_samples));
        if count <= budget {
            return Verdict::New;
        }
        let named: Vec<_> = of_split()
            .take(NUM_NAMED)
            .map(|(_, bad)| format!("\n  {}: {}", bad.cause, bad.place))
            .collect();
        Verdict::OverBudget(Reason {
            kind: ErrorKind::Data,
            what: "too many bad samples".to_owned(),
            place: format!(
                "split `{}`: {count} of {} ({budget} allowed), such as{}",
                bad.split,
                bad.num_samples,
                named.concat()
            ),
            remedy: "repair the data, or allow more of them".to_owned(),
        })
    }

    /// Takes note of a damaged file whose pixels could be recovered; `true` the first time.
    pub fn report_recovered(&self, split: &str, id: u64) -> bool {
        let mut recovered = self
            .recovered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        recovered.insert((split.to_owned(), id), ()).is_none()
    }

    /// Distinct samples by cause; `recovered` ones were used nevertheless.
    pub fn counts(&self) -> Vec<FailureCount> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut by_cause: BTreeMap<&str, u64> = BTreeMap::new();
        for bad in seen.values() {
            *by_cause.entry(bad.cause).or_default() += 1;
        }
        let recovered = self
            .recovered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len() as u64;
        if recovered > 0 {
            by_cause.insert("recovered", recovered);
        }
        by_cause
            .into_iter()
            .map(|(cause, num_samples)| FailureCount {
                cause: cause.to_owned(),
                num_samples,
            })
            .collect()
    }

    fn budget(&self, num_samples: u64) -> u64 {
        if self.max_fraction == 0.0 {
            return 0;
        }
        ((num_samples as f64 * self.max_fraction) as u64).max(MIN_BUDGET)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(id: u64, num_samples: u64) -> BadSample<'static> {
        let place = format!("train-000000.tar, key c/{id}, offset {}", id * 512);
        BadSample {
            split: "train",
            id,
            num_samples,
            cause: "truncated",
            place,
        }
    }

    #[test]
    fn a_sample_counts_once_however_often_it_comes_by() {
        let failures = Failures::new(0.001);
        assert_eq!(failures.report(bad(1, 100)), Verdict::New);
        assert_eq!(failures.report(bad(1, 100)), Verdict::Known);
        assert_eq!(
            failures.counts(),
            [FailureCount {
                cause: "truncated".into(),
                num_samples: 1
            }]
        );
    }

    #[test]
    fn over_budget_names_the_first_ten() {
        let failures = Failures::new(0.001);
        for id in 0..20 {
            assert_eq!(failures.report(bad(id, 20_000)), Verdict::New);
        }
        let Verdict::OverBudget(reason) = failures.report(bad(20, 20_000)) else {
            panic!("21 of 20")
        };
        let sentence = reason.to_string();
        assert!(sentence.contains("21 of 20000 (20 allowed)"), "{sentence}");
        assert!(
            sentence.contains("key c/9,") && !sentence.contains("key c/10,"),
            "{sentence}"
        );
    }

    #[test]
    fn a_small_split_may_have_eight() {
        let failures = Failures::new(0.001);
        for id in 0..8 {
            assert_eq!(failures.report(bad(id, 30)), Verdict::New);
        }
        assert!(matches!(
            failures.report(bad(8, 30)),
            Verdict::OverBudget(_)
        ));
    }

    #[test]
    fn a_fraction_of_zero_allows_none() {
        assert!(matches!(
            Failures::new(0.0).report(bad(0, 1_000_000)),
            Verdict::OverBudget(_)
        ));
    }

    #[test]
    fn recovered_files_are_counted_apart() {
        let failures = Failures::new(0.0);
        assert!(failures.report_recovered("train", 3));
        assert!(!failures.report_recovered("train", 3));
        assert_eq!(
            failures.counts(),
            [FailureCount {
                cause: "recovered".into(),
                num_samples: 1
            }]
        );
    }
}
