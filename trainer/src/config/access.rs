//! Typed access to checked values. A key read as another kind than the table's is a mistake in this program.

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

    /// `SSL_METHOD`.
    pub fn method(&self) -> &str {
        self.text("SSL_METHOD")
    }
}
