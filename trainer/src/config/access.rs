//! Typed access to checked values. A key read as another kind than the table's is a mistake in this program.

use super::job::Job;
use super::raw::RawConfig;
use super::value::Value;

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

    /// `SSL_METHOD`.
    pub fn method(&self) -> &str {
        self.text("SSL_METHOD")
    }
}
