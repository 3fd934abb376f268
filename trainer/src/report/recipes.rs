//! What differs between the recipes of runs, and between one recipe and the defaults.

use super::run::Run;
use crate::config::RawConfig;

/// A key and its value in each run; `None` where a run's settings are not known.
#[derive(Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// The key.
    pub key: &'static str,
    /// As it is where nothing sets it.
    pub default: String,
    /// In the order of the runs.
    pub values: Vec<Option<&'a str>>,
}

/// Keys in which runs differ from each other; of a run alone, those in which it differs from the defaults.
pub fn differences(runs: &[Run]) -> Vec<Row<'_>> {
    let defaults = RawConfig::defaults().lines().into_iter();
    let rows = defaults.map(|(key, default)| Row {
        key,
        default,
        values: runs.iter().map(|run| run.setting(key)).collect(),
    });
    rows.filter(differs).collect()
}

fn differs(row: &Row) -> bool {
    let mut known = row.values.iter().flatten();
    match row.values.len() {
        1 => known.any(|value| *value != row.default),
        _ => {
            let first = known.next();
            known.any(|value| Some(value) != first)
        }
    }
}
