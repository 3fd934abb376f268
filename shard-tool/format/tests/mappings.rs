//! The system grants a process a number of mappings; that it is used up is told as what it is. Alone in its process, since
//! hardly anything else works there meanwhile.

use std::path::Path;

use shard_format::{ErrorKind, Fault, MappedFile};

#[test]
fn one_mapping_too_many_is_a_lack_of_resources_and_says_how_to_get_more() {
    let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count").expect("a limit");
    let limit: usize = limit.trim().parse().expect("a number");
    if limit > 1 << 20 {
        eprintln!("SKIPPED: {limit} mappings are too many to be used up; lower vm.max_map_count");
        return;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let mut held = Vec::with_capacity(limit);
    let error = loop {
        assert!(held.len() < limit, "the limit was reached");
        match MappedFile::open(&path) {
            Ok(file) => held.push(file),
            Err(error) => break error,
        }
    };
    drop(held);
    assert_eq!(error.fault(), Fault::TooManyMappings);
    assert_eq!(error.kind(), ErrorKind::Resources);
    let limit = format!("vm.max_map_count is {limit},");
    for words in [
        "Cargo.toml",
        "larger shards",
        "sysctl -w vm.max_map_count=",
        &limit,
    ] {
        assert!(error.to_string().contains(words), "{error}");
    }
}
