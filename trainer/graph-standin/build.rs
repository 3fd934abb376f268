//! Compiles the C++ side against the headers beside the libtorch that torch-sys found, and the shim's own.

use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-changed=src");
    println!("cargo:rerun-if-changed=../shim/src/graph.h");
    let lib = std::env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from);
    let lib = lib.expect("torch-shim's build script says what is missing");
    // For this package's tests.
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .include("../shim/src")
        .flag("-isystem")
        .flag(lib.with_file_name("include"))
        .file("src/standin.cpp")
        .compile("graph_standin");
}
