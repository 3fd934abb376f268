//! Makes the trainer's binaries and tests find libtorch where they were built (rpath), and says in words when the
//! libtorch there is not the version that tch was written for.
use std::path::{Path, PathBuf};

const MAJOR_MINOR: (u32, u32) = (2, 11);

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    let lib = std::env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from);
    let Some(lib) = lib else {
        fail(
            "torch-sys did not say where libtorch is; set LIBTORCH to a PyTorch 2.11 folder or run ./scripts/setup",
        );
    };
    check_version(&lib);
    let (major, minor) = MAJOR_MINOR;
    println!("cargo:rustc-env=TRAINER_LIBTORCH_VERSION={major}.{minor}");
    let folder = lib.parent().unwrap_or(&lib);
    println!("cargo:rustc-env=TRAINER_LIBTORCH={}", folder.display());
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
}

/// Compares the version in libtorch's headers beside `lib`.
fn check_version(lib: &Path) {
    let header = lib.with_file_name("include/torch/headeronly/version.h");
    println!("cargo:rerun-if-changed={}", header.display());
    let Ok(text) = std::fs::read_to_string(&header) else {
        fail(&format!(
            "no libtorch headers at {}; expected PyTorch {}.{}; run ./scripts/setup or set LIBTORCH",
            header.display(),
            MAJOR_MINOR.0,
            MAJOR_MINOR.1
        ));
    };
    let found = (number(&text, "MAJOR"), number(&text, "MINOR"));
    if found != (Some(MAJOR_MINOR.0), Some(MAJOR_MINOR.1)) {
        fail(&format!(
            "libtorch at {} is version {:?}.{:?}; expected {}.{}; run ./scripts/setup or set LIBTORCH",
            lib.display(),
            found.0,
            found.1,
            MAJOR_MINOR.0,
            MAJOR_MINOR.1
        ));
    }
}

/// The number after `#define TORCH_VERSION_<part>`.
fn number(header: &str, part: &str) -> Option<u32> {
    let name = format!("TORCH_VERSION_{part}");
    let mut words = header.split_whitespace().skip_while(|word| *word != name);
    words.nth(1)?.parse().ok()
}

fn fail(message: &str) -> ! {
    println!("cargo::error={message}");
    std::process::exit(1)
}
