//! Compiles the loader's kernels as C++, with CUDA's words supplied by a header. Multiply and add stay apart, as on the card.

const SOURCES: [&str; 2] = ["../src/augment/cuda/views.cu", "../src/decode/planes.cu"];
const WORDS: &str = "../src/augment/cuda/host_words.h";

fn main() {
    for file in SOURCES.into_iter().chain([WORDS]) {
        println!("cargo:rerun-if-changed={file}");
    }
    cc::Build::new()
        .cpp(true)
        .cpp_link_stdlib(None)
        .std("c++17")
        .flag("-ffp-contract=off")
        .flag("-include")
        .flag(WORDS)
        .flag("-x")
        .flag("c++")
        .files(SOURCES)
        .compile("host_kernels");
}
