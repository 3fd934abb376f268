//! What the format cannot hold.

use super::NewSample;
use crate::{FormatError, name};

/// Whether the sample can be stored in a set of this many classes.
///
/// # Errors
/// [`FormatError::Unstorable`].
pub(super) fn check(sample: &NewSample<'_>, num_classes: usize) -> Result<(), FormatError> {
    let key_fault = key_fault(sample.key);
    let unknown_label = sample
        .label
        .is_some_and(|label| label as usize >= num_classes);
    let problem = match key_fault {
        Some(fault) => fault.to_owned(),
        None if u32::try_from(sample.image.len()).is_err() => "larger than 4 GiB".to_owned(),
        None if unknown_label => format!("label {:?} has no class", sample.label),
        None => return Ok(()),
    };
    Err(FormatError::Unstorable {
        key: sample.key.to_owned(),
        problem,
    })
}

/// What a reader would trip over in a key.
fn key_fault(key: &str) -> Option<&'static str> {
    let Some((class, stem)) = key.rsplit_once('/') else {
        return Some("the key is not of the form <class>/<stem>");
    };
    let odd_part = |part: &str| matches!(part, "" | "." | "..");
    if class.split('/').any(odd_part) || odd_part(stem) {
        return Some("a part of the key is empty or made of dots");
    }
    if stem.contains('.') {
        return Some("the last part of the key has a dot");
    }
    if key.len() > name::MAX_KEY_BYTES {
        return Some("the key is longer than 65,535 bytes");
    }
    key.contains('\0').then_some("the key has a zero byte")
}
