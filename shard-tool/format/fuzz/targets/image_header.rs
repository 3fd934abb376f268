//! Headers of images: whatever is recognised has a size.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shard_format::image_header::{Content, identify};

fuzz_target!(|bytes: &[u8]| {
    if let Content::Image(header) = identify(bytes) {
        assert!(header.width > 0 && header.height > 0);
    }
});
