//! Typed access to checked values. A key read as another kind than the table's is a mistake in this program.

use std::path::PathBuf;

use super::job::Job;
use super::raw::RawConfig;
use super::value::Value;

/// Views of MoCo with one query.
pub(super) const TWO_VIEWS: &str = "TWO_VIEWS_TRANSFORMS";
/// Views of everything else.
pub(super) const MULTI_VIEWS: &str = "MULTI_VIEWS_TRANSFORMS";

impl RawConfig {
    pub(super) fn bool(&self, path: &str) -> bool {
        match &self.get(path).value {
            Value::Bool(value) => *value,
            other => panic!("{path} is not a truth value: {other}"),
        }
    }

    pub(super) fn int(&self, path: &str) -> i64 {
        match &self.get(path).value {
            Value::Int(value) => *value,
            other => panic!("{path} is not a whole number: {other}"),
        }
    }

    pub(super) fn float(&self, path: &str) -> f64 {
        match &self.get(path).value {
            Value::Float(value) => *value,
            other => panic!("{path} is not a number: {other}"),
        }
    }

    pub(super) fn text(&self, path: &str) -> &str {
        match &self.get(path).value {
            Value::Text(value) => value,
            other => panic!("{path} is not text: {other}"),
        }
    }

    pub(super) fn texts(&self, path: &str) -> &[String] {
        match &self.get(path).value {
            Value::Texts(values) => values,
            other => panic!("{path} is not a list of texts: {other}"),
        }
    }

    pub(super) fn ints(&self, path: &str) -> &[i64] {
        match &self.get(path).value {
            Value::Ints(values) => values,
            other => panic!("{path} is not a list of whole numbers: {other}"),
        }
    }

    pub(super) fn floats(&self, path: &str) -> &[f64] {
        match &self.get(path).value {
            Value::Floats(values) => values,
            other => panic!("{path} is not a list of numbers: {other}"),
        }
    }

    pub(super) fn count(&self, path: &str) -> u64 {
        self.int(path).unsigned_abs()
    }

    /// What `EVAL_METHOD` asks for; what it does not know is told when rules are checked.
    pub fn job(&self) -> Job {
        Job::named(self.text("EVAL_METHOD")).unwrap_or(Job::Pretraining)
    }

    /// `EVAL_METHOD` as it was written.
    pub fn evaluation(&self) -> &str {
        self.text("EVAL_METHOD")
    }

    /// Whether it is a pre-training with this method.
    pub(super) fn trains(&self, method: &str) -> bool {
        self.job() == Job::Pretraining && self.method() == method
    }

    /// The path that a key names, if it names one.
    pub(super) fn path(&self, path: &str) -> Option<PathBuf> {
        let text = self.text(path);
        (!text.is_empty()).then(|| PathBuf::from(text))
    }

    /// Whether view 1 is MoCo's only query, so that no local view is read.
    pub(super) fn is_moco_global_only(&self) -> bool {
        self.trains("MOCO") && self.bool("MOCO.GLOBAL_ONLY")
    }

    /// The section that describes the views. Two alone have one of their own, and it counts once any of its keys is set: the reference cuts
    /// them by `MULTI_VIEWS_TRANSFORMS`, which a configuration made for it relies on.
    pub(super) fn views_section(&self) -> &'static str {
        if self.is_moco_global_only() && self.is_any_set(TWO_VIEWS) {
            TWO_VIEWS
        } else {
            MULTI_VIEWS
        }
    }

    /// `SSL_METHOD`.
    pub fn method(&self) -> &str {
        self.text("SSL_METHOD")
    }
}
