//! Compiles the C++ side against the headers beside the libtorch that torch-sys found.

use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-changed=src");
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    let lib = std::env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from);
    let Some(lib) = lib else {
        println!(
            "cargo::error=torch-sys did not say where libtorch is; set LIBTORCH to a PyTorch 2.11 folder or run ./scripts/setup"
        );
        std::process::exit(1)
    };
    // For this package's tests.
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
    println!("cargo:rustc-env=TORCH_LIB={}", lib.display());
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .flag("-isystem")
        .flag(lib.with_file_name("include"))
        .files([
            "src/foreach.cpp",
            "src/graph.cpp",
            "src/memory.cpp",
            "src/transfer.cpp",
        ])
        .compile("torch_shim");
}
