//! The manifest: what is accepted names plain files only, each once, and adds up.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use shard_format::Manifest;

fuzz_target!(|text: &[u8]| {
    let path = Path::new("manifest.json");
    let Ok(unsealed) = serde_json::from_slice::<Manifest>(text) else {
        return;
    };
    let mut sealed = unsealed.to_json().into_bytes();
    let Ok(manifest) = Manifest::parse(&sealed, path) else {
        return;
    };
    let at = text.len() % sealed.len();
    sealed[at] ^= 1;
    assert!(Manifest::parse(&sealed, path).is_err());
    assert_eq!(manifest, unsealed);
    for split in manifest.splits.values() {
        let num_samples: u64 = split.shards.iter().map(|shard| shard.num_samples).sum();
        assert_eq!(num_samples, split.num_samples);
        for shard in &split.shards {
            for file in [&shard.file, &shard.index_file] {
                assert!(
                    Path::new(file)
                        .file_name()
                        .is_some_and(|name| name == file.as_str())
                );
            }
        }
    }
    manifest.id();
});
