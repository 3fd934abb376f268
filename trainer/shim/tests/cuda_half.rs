//! What is looked up by name in libtorch's CUDA half is there. A test of its own, since the half stays loaded, and CUDA is then refused in other words.
//! A libtorch without that half is told; `REQUIRE_GPU=1` makes it a failure.

#![allow(unsafe_code)]

use std::io::Write;
use std::path::Path;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

#[test]
fn the_cuda_half_has_every_function_of_graphs() {
    let half = Path::new(env!("TORCH_LIB")).join("libtorch_cuda.so");
    if !half.exists() {
        let missing = format!("this libtorch has no CUDA half: {}", half.display());
        let required = std::env::var_os("REQUIRE_GPU").is_some();
        assert!(!required, "REQUIRE_GPU is set, and {missing}");
        // Past the test harness, which keeps what `eprintln` says to itself.
        return writeln!(std::io::stderr(), "SKIPPED: {missing}").unwrap();
    }
    assert!(
        torch_shim::graph::missing().is_some(),
        "it is not loaded yet"
    );
    // SAFETY: it is part of the libtorch that is loaded already; its initialisers only register kernels.
    let half = unsafe { Library::open(Some(half), RTLD_NOW | RTLD_GLOBAL) }.unwrap();
    std::mem::forget(half);
    assert_eq!(torch_shim::graph::missing(), None);
}
