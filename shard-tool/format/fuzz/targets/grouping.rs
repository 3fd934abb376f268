//! Names of members: key, dot and extension make the name again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shard_format::grouping::{is_metadata, split_member_name};

fuzz_target!(|name: &str| {
    if let Some((key, extension)) = split_member_name(name) {
        assert_eq!(format!("{key}.{extension}"), name);
        assert!(!key.is_empty() && !extension.contains('/'));
    }
    is_metadata(name);
});
