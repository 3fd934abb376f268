//! Shard lists with braces: the number of names is bounded, and a name of a list stands for itself
//! once its special characters are taken as they are.
//!
//! Ranges of large numbers are passed over most of the time, since expanding them is slow and alike.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shard_format::pattern::{MAX_NAMES, expand};

fuzz_target!(|pattern: &str| {
    let mut runs = pattern.split(|character: char| !character.is_ascii_digit());
    if pattern.len() % 64 != 0 && runs.any(|digits| digits.len() > 2) {
        return;
    }
    let Ok(names) = expand(pattern) else {
        return;
    };
    assert!((1..=MAX_NAMES).contains(&names.len()));
    let name = &names[0];
    if !name.contains('\n') {
        let escaped: String = name
            .chars()
            .flat_map(|character| ['\\', character])
            .collect();
        assert_eq!(expand(&escaped).as_ref(), Ok(&vec![name.clone()]));
    }
});
