//! Compiles the loader's kernels as C++, with CUDA's words supplied by a header. Multiply and add stay apart, as on the card.

fn main() {
    let folder = "../src/augment/cuda";
    println!("cargo:rerun-if-changed={folder}/views.cu");
    println!("cargo:rerun-if-changed={folder}/host_words.h");
    cc::Build::new()
        .cpp(true)
        .cpp_link_stdlib(None)
        .std("c++17")
        .flag("-ffp-contract=off")
        .flag("-include")
        .flag(format!("{folder}/host_words.h"))
        .flag("-x")
        .flag("c++")
        .file(format!("{folder}/views.cu"))
        .compile("host_kernels");
}
